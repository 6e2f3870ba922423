// Submits a job through the generated client, waits for it, reads its result, and meets errors.

import { Configuration, JobsApi, ResponseError } from "bioprune-client";
import type { Job, Problem } from "bioprune-client";

declare const process: { argv: string[]; exit(status: number): never };

const api = new JobsApi(new Configuration({ basePath: process.argv[2] }));

function check(holds: boolean, what: unknown): asserts holds {
  if (!holds) throw new Error(JSON.stringify(what));
}

async function problemOf(call: Promise<unknown>): Promise<Problem> {
  try {
    await call;
  } catch (error) {
    if (error instanceof ResponseError) return (await error.response.json()) as Problem;
    throw error;
  }
  throw new Error("a request that is wrong was accepted");
}

async function main() {
  const pruneRequest = {
    inputs: ["s3://bucket/rna.fa.gz"],
    output: "s3://bucket/typescript/",
    keep: "10%",
    strategy: "random" as const,
    pick: "highest" as const,
  };
  let job: Job = await api.prune({ pruneRequest, prefer: "wait=30" });
  while (job.state === "queued" || job.state === "running") {
    await new Promise((resume) => setTimeout(resume, 200));
    job = await api.showJob({ id: job.id });
  }
  check(job.state === "complete", job);
  check(job.outputs.includes("s3://bucket/typescript/manifest.json"), job.outputs);
  check(job.result != null && "select" in job.result && job.result.select.kept === 4, job.result);
  check(job.finished instanceof Date && job.finished > job.created, job);
  const listed = await api.listJobs({ state: "complete", limit: 5 });
  check(listed.jobs.some((other) => other.id === job.id), listed);

  const missing = { ...pruneRequest, inputs: ["s3://bucket/none.fa"] };
  const problem = await problemOf(api.prune({ pruneRequest: missing }));
  check(problem.status === 422 && problem.code === "input_not_found", problem);
  const unknown = await problemOf(api.cancelJob({ id: "prune-000000000000000000000000" }));
  check(unknown.status === 404 && unknown.code === "job_not_found", unknown);
  const ended = await problemOf(api.cancelJob({ id: job.id }));
  check(ended.status === 409 && ended.code === "job_state" && !ended.retryable, ended);
  console.log("submitted, waited, read the result, and met three errors");
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
