"""Submits a job through the generated client, waits for it, reads its result, and meets an error."""

import json
import sys
import time

import bioprune_client
from bioprune_client.exceptions import ApiException

api = bioprune_client.JobsApi(bioprune_client.ApiClient(bioprune_client.Configuration(host=sys.argv[1])))

request = bioprune_client.PruneRequest(inputs=["s3://bucket/rna.fa.gz"], output="s3://bucket/client/", keep="10%", seed=7)
job = api.prune(request, prefer="wait=30")
while job.state in ("queued", "running"):
    time.sleep(0.2)
    job = api.show_job(job.id)
assert job.state == "complete", job
assert "s3://bucket/client/manifest.json" in job.outputs, job.outputs
assert any(listed.id == job.id for listed in api.list_jobs().jobs)

try:
    api.prune(bioprune_client.PruneRequest(inputs=["s3://bucket/none.fa"], output="s3://bucket/none/", keep="10%"))
except ApiException as error:
    problem = json.loads(error.body)
    assert (error.status, problem["code"]) == (422, "input_not_found"), problem
else:
    raise AssertionError("an input that does not exist was accepted")

try:
    api.show_job("prune-000000000000000000000000")
except ApiException as error:
    assert error.status == 404, error
else:
    raise AssertionError("a job that does not exist was shown")
print("submitted, waited, read the result, and met two errors")
