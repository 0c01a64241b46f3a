// Package v1beta1 holds Fairlead's custom resources: the objects that operators
// write with kubectl and that the controller and the speakers read.
//
// The types carry markers and field descriptions only; the custom resource
// definitions in manifests/crd are generated from them, and `kubectl explain`
// shows their comments. What the fields mean together is decided in package
// config, which turns these objects into one validated snapshot.
//
// +kubebuilder:object:generate=true
// +groupName=fairlead.io
package v1beta1
