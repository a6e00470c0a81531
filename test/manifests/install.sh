#!/usr/bin/env bash
# Installs what checks manifests into ${FOREIGN:-$HOME/.cache/greeter-foreign}, from the Go module
# proxy and PyPI: kustomize, kubeconform and kube-score, and the schemas of Kubernetes and of the
# kinds that operators bring, for use without the web.
set -euo pipefail

# renovate: go sigs.k8s.io/kustomize/kustomize/v5
KUSTOMIZE=v5.8.1
# renovate: go github.com/yannh/kubeconform
KUBECONFORM=v0.8.0
# renovate: go github.com/zegl/kube-score
KUBE_SCORE=v1.20.0
# The oldest Kubernetes where preStop can sleep without being asked to, and the newest.
KUBERNETES_VERSIONS='v1.30.0 v1.37.0'
# renovate: pypi kubernetes-validate
KUBERNETES_VALIDATE=1.37.0
# renovate: go github.com/cert-manager/cert-manager
CERT_MANAGER=v1.21.2
# renovate: go sigs.k8s.io/gateway-api
GATEWAY_API=v1.6.3
# renovate: go github.com/prometheus-operator/prometheus-operator
PROMETHEUS_OPERATOR=v0.85.0

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../foreign/parts.sh"

main() {
  need python3 go node
  once kustomize "$KUSTOMIZE" bin/kustomize go_kustomize
  once kubeconform "$KUBECONFORM" bin/kubeconform go_kubeconform
  once kube_score "$KUBE_SCORE" bin/kube-score go_kube_score
  local pins="$KUBERNETES_VALIDATE $KUBERNETES_VERSIONS $CERT_MANAGER $GATEWAY_API $PROMETHEUS_OPERATOR"
  once kubernetes_schemas "$pins $(cat "$here"/*_schemas.*)" schemas make_schemas
}

go_kustomize() {
  quiet_go install "sigs.k8s.io/kustomize/kustomize/v5@$KUSTOMIZE"
}

go_kubeconform() {
  quiet_go install "github.com/yannh/kubeconform/cmd/kubeconform@$KUBECONFORM"
}

go_kube_score() {
  quiet_go install "github.com/zegl/kube-score/cmd/kube-score@$KUBE_SCORE"
}

make_schemas() {
  local work folders
  work=$(mktemp -d)
  python3 -m venv "$work/venv"
  "$work/venv/bin/pip" download --quiet --disable-pip-version-check --no-deps --dest "$work" \
    "kubernetes-validate==$KUBERNETES_VALIDATE"
  rm -rf "$foreign/schemas"
  read -ra folders <<<"$KUBERNETES_VERSIONS"
  python3 "$here/kubernetes_schemas.py" "$work"/*.whl "$foreign/schemas" "${folders[@]}"
  rm -rf "$work"

  folders=("${folders[@]/#/$foreign/schemas/}")
  custom() { node "$here/crd_schemas.ts" "$(module "$1")/$2" "${folders[@]}"; }
  custom "github.com/cert-manager/cert-manager@$CERT_MANAGER" \
    deploy/crds/cert-manager.io_certificates.yaml
  custom "sigs.k8s.io/gateway-api@$GATEWAY_API" \
    config/crd/standard/gateway.networking.k8s.io_grpcroutes.yaml
  custom "github.com/prometheus-operator/prometheus-operator@$PROMETHEUS_OPERATOR" \
    example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml
}

# module PATH@VERSION: downloads it, and prints its folder: all of its repository, not Go alone.
module() {
  quiet_go mod download -json "$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)["Dir"])'
}

main
