# How a check is made and told. Uses $work, $expected and $expected_proteins.
# shellcheck shell=bash

failures=0

# check NAME COMMAND...: runs it in a subshell that ends at the first failing command, and shows its output if it fails.
check() {
  local name=$1 began=$SECONDS status
  shift
  # not in a condition: there a failing command would end nothing
  set +e
  (set -euo pipefail; "$@") > "$work/log" 2>&1
  status=$?
  set -e
  if [ $status = 0 ]; then
    printf 'ok      %3d s  %s\n' $((SECONDS - began)) "$name"
  else
    printf 'FAILED  %3d s  %s\n' $((SECONDS - began)) "$name"
    tail -n 40 "$work/log" | sed 's/^/        /'
    failures=$((failures + 1))
  fi
}

verdict() {
  if [ $failures -gt 0 ]; then
    echo "$failures checks failed"
    exit 1
  fi
}

# same_coreset DIR...: each holds the coreset that the plain command wrote.
same_coreset() {
  local directory
  for directory in "$@"; do
    cmp "$expected/coreset.fa.gz" "$directory/coreset.fa.gz"
    cmp "$expected/selected.tsv" "$directory/selected.tsv"
  done
}

# same_proteins DIR...: the same of the proteins.
same_proteins() {
  expected=$expected_proteins same_coreset "$@"
}

# fails_saying TEXT COMMAND...: the command fails, and its output holds the text.
fails_saying() {
  local text=$1 output
  shift
  if output=$("$@" 2>&1); then
    echo "succeeded, and should not have: $*"
    return 1
  fi
  echo "$output"
  grep -qF -- "$text" <<< "$output"
}
