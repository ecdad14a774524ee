#!/bin/bash
# Builds what the tests need of Kubernetes, and a mail server, from Go modules: build.sh FOLDER [PROGRAM…].
# Programs: etcd kube-apiserver kube-controller-manager kubectl helm mailpit; all of them when none is named.
# Some six minutes on two cores with empty caches. A program that is there in the wanted version is kept.
set -euo pipefail

helm_version=v3.22.0
mailpit_version=v1.27.11
mkdir -p "${1:?folder for the programs}"
out=$(cd "$1" && pwd)
shift
[ $# -gt 0 ] || set -- etcd kube-apiserver kube-controller-manager kubectl helm mailpit
cd "$(dirname "$0")"
export GOFLAGS=-mod=readonly GOTOOLCHAIN=local CGO_ENABLED=0

# go.mod carries the versions, so that they are in one place.
version() { awk -v module="$1" '$1 == module && $2 != "=>" {print $2; exit}' < <(sed 's/^require //' go.mod); }
kubernetes=$(version k8s.io/kubernetes)
etcd=$(version go.etcd.io/etcd/server/v3)
minor=${kubernetes#v1.}
minor=${minor%%.*}
stamp="-X k8s.io/component-base/version.gitVersion=$kubernetes -X k8s.io/component-base/version.gitMajor=1
  -X k8s.io/component-base/version.gitMinor=$minor -X k8s.io/client-go/pkg/version.gitVersion=$kubernetes"

# Two test programs may find the same program missing at the same time.
exec 9>"$out/.lock"
flock 9

build() { # NAME VERSION COMMAND…: the command leaves the program at $new
  local name=$1 wanted=$2
  shift 2
  [ -x "$out/$name" ] && [ "$(cat "$out/.$name.version" 2>/dev/null)" = "$wanted" ] && return
  echo "building $name $wanted" >&2
  rm -rf "$out/.new" && mkdir "$out/.new"
  new=$out/.new/$name
  "$@"
  mv "$new" "$out/$name"
  echo "$wanted" >"$out/.$name.version"
}
from_here() { # LDFLAGS PACKAGE
  nice go build -trimpath -ldflags "-s -w $1" -o "$new" "$2"
}
from_itself() { # PACKAGE@VERSION
  GOFLAGS='' GOBIN=$out/.new nice go install -trimpath -ldflags '-s -w' "$1"
}

for program; do
  case $program in
  etcd) build etcd "$etcd" from_here '' go.etcd.io/etcd/server/v3 ;;
  helm) build helm "$helm_version" from_itself "helm.sh/helm/v3/cmd/helm@$helm_version" ;;
  mailpit) build mailpit "$mailpit_version" from_itself "github.com/axllent/mailpit@$mailpit_version" ;;
  kube-apiserver | kube-controller-manager | kubectl)
    build "$program" "$kubernetes" from_here "$stamp" "k8s.io/kubernetes/cmd/$program"
    ;;
  *)
    echo "unknown program: $program" >&2
    exit 2
    ;;
  esac
done
rm -rf "$out/.new"
