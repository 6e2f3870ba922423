# Puts the workflow engines into $tools, once.
# shellcheck shell=bash

install_nextflow() {
  export NEXTFLOW_JARS=$tools/nextflow
  if [ ! -d "$NEXTFLOW_JARS/lint" ]; then
    mkdir -p "$NEXTFLOW_JARS"
    mvn --batch-mode --quiet -f "$here/nextflow/pom.xml" generate-resources -Djars="$NEXTFLOW_JARS"
  fi
  export PATH=$here/nextflow:$PATH
  python_tool multiqc multiqc==1.35
}

install_snakemake() {
  python_tool snakemake snakemake==9.27.1 snakefmt==2.1.0 pygments==2.21.0 snakemake-storage-plugin-s3==0.3.6 \
    snakemake-executor-plugin-slurm==2.8.0 snakemake-executor-plugin-kubernetes==0.5.1 snakemake-executor-plugin-aws-batch==0.2.1
}

# Slurm's daemons, and both engines. The cluster makes namespaces and device files, so it is for root alone.
install_slurm() {
  install_nextflow
  install_snakemake
  if [ "$(id -u)" != 0 ]; then
    echo 'a Slurm cluster can be started by root alone (./test.sh --without-slurm goes without)' >&2
    return 1
  fi
  if ! command -v slurmctld slurmd srun munged > /dev/null; then
    apt-get -qq update
    apt-get -qq install --no-install-recommends slurmctld slurmd slurm-client munge > /dev/null
  fi
}

# python_tool COMMAND REQUIREMENT...: in an environment of its own, at the end of PATH.
python_tool() {
  local command=$1 venv=$tools/$1
  shift
  if [ ! -x "$venv/bin/$command" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "$@"
  fi
  export PATH=$PATH:$venv/bin
}
