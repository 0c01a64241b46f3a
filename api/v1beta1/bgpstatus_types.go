package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// BGPStatus is what the speaker of one node says of its BGP sessions. Its name is the name of the node. There is none where
// no BGPPeer selects the node. How many routes and messages there were, and for how long a session lasts, the speaker's metrics say.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,path=bgpstatuses,singular=bgpstatus,shortName=bgps,categories=fairlead
// +kubebuilder:printcolumn:name="Established",type=string,JSONPath=`.status.summary`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type BGPStatus struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Written by the node's speaker.
	// +optional
	Status BGPStatusStatus `json:"status,omitempty,omitzero"`
}

// BGPStatusStatus is what a speaker reports of its BGP sessions.
type BGPStatusStatus struct {
	// How many sessions are established, of how many there should be, such as "2/3".
	// +optional
	// +kubebuilder:validation:MaxLength=32
	Summary string `json:"summary,omitempty"`
	// The sessions, one for each BGPPeer that selects the node.
	//
	// +optional
	// +listType=map
	// +listMapKey=peer
	// +kubebuilder:validation:MaxItems=256
	Sessions []BGPSession `json:"sessions,omitempty"`
}

// BGPSession is the session of a node with a router.
type BGPSession struct {
	// Name of the BGPPeer.
	// +required
	// +kubebuilder:validation:MaxLength=253
	Peer string `json:"peer"`
	// Address of the router. Absent while it is not known.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Address string `json:"address,omitempty"`
	// State of the session (RFC 4271, section 8.2.2). Routes are announced while it is Established.
	// +required
	// +kubebuilder:validation:Enum=Idle;Connect;Active;OpenSent;OpenConfirm;Established
	State string `json:"state"`
	// Since when the session is, or is not, established.
	// +optional
	Since metav1.Time `json:"since,omitzero"`
	// Why the session last ended or could not begin, in the router's own words where it sent some; while it is established, what it lacks.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	LastError string `json:"lastError,omitempty"`
	// State of the BFD session with the router. Absent if the BGPPeer has no bfdProfile.
	// +optional
	// +kubebuilder:validation:Enum=AdminDown;Down;Init;Up
	BFD string `json:"bfd,omitempty"`
}

// BGPStatusList is a list of BGPStatus.
//
// +kubebuilder:object:root=true
type BGPStatusList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []BGPStatus `json:"items"`
}
