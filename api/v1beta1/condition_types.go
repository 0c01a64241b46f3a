package v1beta1

// Condition types of Fairlead's own objects.
const (
	// ConditionAccepted says whether the object is valid, alone and together
	// with all others, and therefore used.
	ConditionAccepted = "Accepted"
	// ConditionOverlapping says whether a pool has addresses that the cluster uses for
	// something else: it is active all the same.
	ConditionOverlapping = "Overlapping"
	// ConditionAdvertised says of a pool whether an advertisement is for it: else its addresses are assigned and not announced.
	ConditionAdvertised = "Advertised"
	// ConditionMatching says of an advertisement whether it selects any pool and any node, and how many.
	ConditionMatching = "Matching"
	// ConditionBound says whether an IPClaim holds all that it asks for.
	ConditionBound = "Bound"
	// ConditionEstablished says whether all nodes that are to have a session with a BGPPeer have one.
	ConditionEstablished = "Established"
	// ConditionReady says whether a speaker announces what it should.
	ConditionReady = "Ready"
	// ConditionConnected says whether a speaker and the others talk to each other.
	ConditionConnected = "Connected"
	// ConditionStrictARP says of a node whose kube-proxy is in mode ipvs whether its kernel leaves ARP
	// requests for the addresses of Services to the speakers. It is absent where kube-proxy is in another mode.
	ConditionStrictARP = "StrictARP"
	// ConditionKeepsConnections says of a node whether connections that are open go on when an address moves. It is absent where they are
	// not to.
	ConditionKeepsConnections = "KeepsConnections"
)

// Condition types that Fairlead writes to Services.
const (
	// ServiceConditionAssigned says which addresses a Service has, or why it
	// has none. Written by the controller.
	ServiceConditionAssigned = "fairlead.io/Assigned"
	// ServiceConditionAnnounced says which node announces the addresses of a
	// Service, or why none does. Written by the speakers.
	ServiceConditionAnnounced = "fairlead.io/Announced"
	// ServiceConditionAddressConflict says that a host which is not of this cluster uses
	// addresses of a Service; it is absent otherwise. Written by the speakers, and removed by
	// the controller with the addresses.
	ServiceConditionAddressConflict = "fairlead.io/AddressConflict"
)
