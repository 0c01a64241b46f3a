package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// AnnouncementSlice is a part of what one node announces: addresses, on which of its network interfaces, and since when. A
// node has as many as it needs. Its speaker writes them, about once a second at most; nobody else
// should, and nothing follows from them.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,path=announcementslices,singular=announcementslice,shortName=anns,categories=fairlead
// +kubebuilder:printcolumn:name="Node",type=string,JSONPath=`.node`
// +kubebuilder:printcolumn:name="Addresses",type=integer,JSONPath=`.count`
// +kubebuilder:printcolumn:name="First",type=string,JSONPath=`.announcements[0].address`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type AnnouncementSlice struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Node that announces.
	// +required
	// +kubebuilder:validation:MaxLength=253
	Node string `json:"node"`

	// Count is how many addresses there are in this slice.
	// +required
	Count int32 `json:"count"`

	// Announcements, by address.
	//
	// +optional
	// +listType=map
	// +listMapKey=address
	// +kubebuilder:validation:MaxItems=500
	Announcements []AddressAnnouncement `json:"announcements,omitempty"`
}

// AddressAnnouncement is one address that a node announces.
type AddressAnnouncement struct {
	// Address that is announced.
	// +required
	// +kubebuilder:validation:MaxLength=45
	Address string `json:"address"`
	// Interfaces of the node on which it is announced.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	Interfaces []string `json:"interfaces,omitempty"`
	// Since when this node announces the address; a speaker that is restarted in place goes on counting.
	// +required
	Since metav1.Time `json:"since"`
}

// AnnouncementSliceNodeLabel has the name of the node of an AnnouncementSlice.
const AnnouncementSliceNodeLabel = "fairlead.io/node"

// AnnouncementSliceList is a list of AnnouncementSlice.
//
// +kubebuilder:object:root=true
type AnnouncementSliceList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []AnnouncementSlice `json:"items"`
}
