//go:build tools

// Package controlplane pins the versions of the control plane that tests run against.
package controlplane

import _ "go.etcd.io/etcd/server/v3"
