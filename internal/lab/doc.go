// Package lab runs a real Kubernetes cluster on one machine.
package lab
