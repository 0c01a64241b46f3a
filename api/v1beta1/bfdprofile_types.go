package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// BFDProfile says how nodes and routers find out by BFD (RFC 5880) that one of them is gone. BGPPeers name it (bfdProfile). The
// session is a single-hop one (RFC 5881, UDP port 3784) with a router in the node's own network, and a multihop one
// (RFC 5883, UDP port 4784) with others.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,path=bfdprofiles,shortName=bfdp,categories=fairlead
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Receive",type=integer,JSONPath=`.spec.receiveInterval`
// +kubebuilder:printcolumn:name="Transmit",type=integer,JSONPath=`.spec.transmitInterval`
// +kubebuilder:printcolumn:name="Multiplier",type=integer,JSONPath=`.spec.detectMultiplier`
// +kubebuilder:printcolumn:name="Passive",type=boolean,JSONPath=`.spec.passiveMode`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type BFDProfile struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// The timers of the sessions. Empty: 300 ms, three times.
	// +optional
	Spec BFDProfileSpec `json:"spec,omitempty,omitzero"`
	// Whether the profile is accepted. Written by the controller.
	// +optional
	Status BFDProfileStatus `json:"status,omitempty,omitzero"`
}

// BFDProfileSpec is what the operator wants of BFD sessions.
type BFDProfileSpec struct {
	// How often this side can receive packets, in milliseconds. The router sends them no more often.
	//
	// +optional
	// +kubebuilder:default=300
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=60000
	ReceiveInterval int32 `json:"receiveInterval,omitempty"`

	// How often this side wants to send packets, in milliseconds. It sends them no more often than the router can receive them.
	//
	// +optional
	// +kubebuilder:default=300
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=60000
	TransmitInterval int32 `json:"transmitInterval,omitempty"`

	// How many packets must fail to come before the other side counts as gone.
	//
	// +optional
	// +kubebuilder:default=3
	// +kubebuilder:validation:Minimum=2
	// +kubebuilder:validation:Maximum=255
	DetectMultiplier int32 `json:"detectMultiplier,omitempty"`

	// Whether to send nothing until the router has sent something (RFC 5880, section 6.1). Absent: the nodes begin.
	//
	// +optional
	PassiveMode bool `json:"passiveMode,omitempty"`

	// For multihop sessions: the lowest TTL (hop limit) of the router's packets, which start with 255; others are dropped. Absent: 254.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=254
	MinimumTTL int32 `json:"minimumTTL,omitempty"`

	// Echo mode (RFC 5880, section 6.4) is not supported: it must be absent or false. Take shorter intervals instead.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="!self",message="echo mode is not supported: leave echoMode out, and set receiveInterval and transmitInterval to what echoInterval would be"
	EchoMode bool `json:"echoMode,omitempty"`
}

// BFDProfileStatus is what the controller says of a profile.
type BFDProfileStatus struct {
	// The spec as it was last accepted, which stays active while the present one is not accepted.
	//
	// +optional
	AcceptedSpec *BFDProfileSpec `json:"acceptedSpec,omitempty"`

	// Accepted: whether the profile is used; if not, its reason and message say what is wrong with it.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// BFDProfileList is a list of BFDProfile.
//
// +kubebuilder:object:root=true
type BFDProfileList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []BFDProfile `json:"items"`
}
