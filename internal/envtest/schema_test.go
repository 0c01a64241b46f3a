//go:build linux

package envtest

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	noEntry   = "it must be a CIDR such as 192.0.2.0/24, a range such as 192.0.2.10-192.0.2.20, or one address"
	noNetwork = "a CIDR must be written with its network address, such as 192.0.2.0/24, not 192.0.2.5/24"
	noUse     = "(unspecified, loopback, link-local, multicast, broadcast) cannot be used"
	noOrder   = "a range must not end before it starts"
	noFamily  = "both ends of a range must be of one family, IPv4 or IPv6"
)

// What one object can show to be wrong is refused by the API server, with a message that helps.
func TestSchema(t *testing.T) {
	tests := map[string]struct {
		kind, spec string
		// want is part of the refusal; empty where the object is good.
		want string
	}{
		"CIDR":             {"IPAddressPool", `{addresses: ["192.0.2.0/24", "2001:db8::/64"]}`, ""},
		"Range":            {"IPAddressPool", `{addresses: ["192.0.2.10-192.0.2.20", "2001:db8::1-2001:db8::ff"]}`, ""},
		"RangeWithSpaces":  {"IPAddressPool", `{addresses: ["192.0.2.10 - 192.0.2.20"]}`, ""},
		"Address":          {"IPAddressPool", `{addresses: ["192.0.2.1", "2001:db8::1"]}`, ""},
		"WholeInternet":    {"IPAddressPool", `{addresses: ["0.0.0.0/0"]}`, noUse},
		"WholeInternet6":   {"IPAddressPool", `{addresses: ["::/0"]}`, noUse},
		"Loopback":         {"IPAddressPool", `{addresses: ["127.0.0.0/30"]}`, noUse},
		"Multicast":        {"IPAddressPool", `{addresses: ["192.0.2.1", "224.0.0.1-224.0.0.9"]}`, noUse},
		"IntoMulticast":    {"IPAddressPool", `{addresses: ["223.255.255.1-224.0.0.9"]}`, noUse},
		"Broadcast":        {"IPAddressPool", `{addresses: ["255.255.255.255"]}`, noUse},
		"ThisNetwork":      {"IPAddressPool", `{addresses: ["0.0.0.0/8"]}`, noUse},
		"Loopback6":        {"IPAddressPool", `{addresses: ["::1"]}`, noUse},
		"LinkLocal6":       {"IPAddressPool", `{addresses: ["fe80::/64"]}`, noUse},
		"Multicast6":       {"IPAddressPool", `{addresses: ["ff02::1:0/112"]}`, noUse},
		"UniqueLocal":      {"IPAddressPool", `{addresses: ["fd00::/64", "10.0.0.0/8", "100.64.0.0/10", "240.0.0.0/8"]}`, ""},
		"Backwards":        {"IPAddressPool", `{addresses: ["192.0.2.20-192.0.2.10"]}`, noOrder},
		"BackwardsOctet":   {"IPAddressPool", `{addresses: ["192.0.3.1-192.0.2.200"]}`, noOrder},
		"BackwardsExclude": {"IPAddressPool", `{addresses: ["192.0.2.0/24"], exclude: ["192.0.2.20-192.0.2.10"]}`, noOrder},
		"OneLong":          {"IPAddressPool", `{addresses: ["192.0.2.10-192.0.2.10"]}`, ""},
		"BadOperator":      {"IPAddressPool", `{addresses: ["192.0.2.0/24"], serviceAllocation: {serviceSelectors: [{matchExpressions: [{key: k, operator: in, values: [a]}]}]}}`, "Unsupported value"},
		"Exclude":          {"IPAddressPool", `{addresses: ["192.0.2.0/24"], exclude: ["192.0.2.1", "192.0.2.8/29", "192.0.2.100-192.0.2.110"]}`, ""},
		"EverythingSet":    {"IPAddressPool", `{addresses: ["192.0.2.0/24"], autoAssign: false, avoidBuggyIPs: true, serviceAllocation: {priority: 3, namespaces: [a, b], namespaceSelectors: [{matchLabels: {tier: gold}}], serviceSelectors: [{matchExpressions: [{key: k, operator: Exists}]}]}}`, ""},
		"NoSpec":           {"IPAddressPool", ``, "spec: Required value"},
		"NoAddresses":      {"IPAddressPool", `{}`, "spec.addresses: Required value"},
		"EmptyAddresses":   {"IPAddressPool", `{addresses: []}`, "spec.addresses in body should have at least 1 items"},
		"NotAnAddress":     {"IPAddressPool", `{addresses: ["the-first-ten"]}`, noEntry},
		"WhichEntry":       {"IPAddressPool", `{addresses: ["192.0.2.0/24", "192.0.2.1-9"]}`, `spec.addresses[1]: Invalid value: "192.0.2.1-9": ` + noEntry},
		"WhichExclude":     {"IPAddressPool", `{addresses: ["192.0.2.0/24"], exclude: ["192.0.2.1", "192.0.2.9/29"]}`, `spec.exclude[1]: Invalid value: "192.0.2.9/29": ` + noNetwork},
		"EmptyEntry":       {"IPAddressPool", `{addresses: [""]}`, noEntry},
		"BadOctet":         {"IPAddressPool", `{addresses: ["192.0.2.256"]}`, noEntry},
		"LeadingZero":      {"IPAddressPool", `{addresses: ["192.0.02.1"]}`, noEntry},
		"BadMask":          {"IPAddressPool", `{addresses: ["192.0.2.0/33"]}`, noEntry},
		"OpenRange":        {"IPAddressPool", `{addresses: ["192.0.2.1-"]}`, noEntry},
		"ShortRange":       {"IPAddressPool", `{addresses: ["192.0.2.1-9"]}`, noEntry},
		"ThreeEnds":        {"IPAddressPool", `{addresses: ["192.0.2.1-192.0.2.2-192.0.2.3"]}`, noEntry},
		"RangeOfCIDRs":     {"IPAddressPool", `{addresses: ["192.0.2.0/25-192.0.2.128/25"]}`, noEntry},
		"Zone":             {"IPAddressPool", `{addresses: ["fe80::1%eth0"]}`, noEntry},
		"HostBits":         {"IPAddressPool", `{addresses: ["192.0.2.5/24"]}`, noNetwork},
		"HostBits6":        {"IPAddressPool", `{addresses: ["2001:db8::1/64"]}`, noNetwork},
		"MixedRange":       {"IPAddressPool", `{addresses: ["192.0.2.1-2001:db8::1"]}`, noFamily},
		"SecondIsBad":      {"IPAddressPool", `{addresses: ["192.0.2.0/24", "x"]}`, noEntry},
		"BadExclude":       {"IPAddressPool", `{addresses: ["192.0.2.0/24"], exclude: ["x"]}`, noEntry},
		"HostBitsExclude":  {"IPAddressPool", `{addresses: ["192.0.2.0/24"], exclude: ["192.0.2.5/29"]}`, noNetwork},
		"NegativePriority": {"IPAddressPool", `{addresses: ["192.0.2.0/24"], serviceAllocation: {priority: -1}}`, "spec.serviceAllocation.priority in body should be greater than or equal to 0"},
		"SameNamespace":    {"IPAddressPool", `{addresses: ["192.0.2.0/24"], serviceAllocation: {namespaces: [a, a]}}`, "Duplicate value"},
		"UnknownField":     {"IPAddressPool", `{addresses: ["192.0.2.0/24"], autoassign: false}`, `unknown field "spec.autoassign"`},
		"WrongType":        {"IPAddressPool", `{addresses: "192.0.2.0/24"}`, "spec.addresses"},

		"L2NoSpec":         {"L2Advertisement", ``, ""},
		"L2Everything":     {"L2Advertisement", `{ipAddressPools: [a, b], interfaces: [eth1, "bond*"], nodeSelectors: [{matchLabels: {tier: gold}}], preferredNodeSelectors: [{weight: 100, preference: {matchLabels: {tier: best}}}], serviceSelectors: [{matchLabels: {a: b}}]}`, ""},
		"L2SamePool":       {"L2Advertisement", `{ipAddressPools: [a, a]}`, "Duplicate value"},
		"L2EmptyInterface": {"L2Advertisement", `{interfaces: [""]}`, "should be at least 1 chars long"},
		"L2LongInterface":  {"L2Advertisement", `{interfaces: ["interface-of-16c"]}`, "Too long"},
		"L2BadInterface":   {"L2Advertisement", `{interfaces: ["eth[01]"]}`, "spec.interfaces[0] in body should match"},
		"L2Weight0":        {"L2Advertisement", `{preferredNodeSelectors: [{weight: 0, preference: {}}]}`, "weight in body should be greater than or equal to 1"},
		"L2Weight101":      {"L2Advertisement", `{preferredNodeSelectors: [{weight: 101, preference: {}}]}`, "weight in body should be less than or equal to 100"},
		"L2NoPreference":   {"L2Advertisement", `{preferredNodeSelectors: [{weight: 1}]}`, "preference: Required value"},
		"L2BadOperator":    {"L2Advertisement", `{nodeSelectors: [{matchExpressions: [{key: k, operator: in, values: [a]}]}]}`, "Unsupported value"},
		"L2NoValues":       {"L2Advertisement", `{nodeSelectors: [{matchExpressions: [{key: k, operator: In}]}]}`, "In and NotIn need values"},
		"L2Values":         {"L2Advertisement", `{nodeSelectors: [{matchExpressions: [{key: k, operator: Exists, values: [a]}]}]}`, "In and NotIn need values"},
		"L2Expressions":    {"L2Advertisement", `{preferredNodeSelectors: [{weight: 1, preference: {matchExpressions: [{key: k, operator: NotIn, values: [a]}, {key: l, operator: DoesNotExist}]}}]}`, ""},
		"L2UnknownField":   {"L2Advertisement", `{pools: [a]}`, `unknown field "spec.pools"`},

		"PeerShort":         {"BGPPeer", `{myASN: 64512, peerASN: 64513, peerAddress: 192.0.2.1}`, ""},
		"PeerEverything":    {"BGPPeer", `{myASN: 4200000000, peerASN: 4294967295, localASN: 64600, peerAddress: 2001:db8::1, peerPort: 65535, sourceAddress: 2001:db8::2, holdTime: 30s, keepaliveTime: 10s, connectTime: 5s, routerID: 192.0.2.10, nodeSelectors: [{matchLabels: {rack: "1"}}], passwordSecret: {name: s}, bfdProfile: fast, gracefulRestart: {restartTime: 2m}, ttlSecurity: 1, addressFamilies: [ipv4Unicast, ipv6Unicast]}`, ""},
		"PeerUnnumbered":    {"BGPPeer", `{myASN: 64512, dynamicASN: external, interface: eth1.100, gracefulRestart: {}}`, ""},
		"PeerMultiHop":      {"BGPPeer", `{myASN: 64512, dynamicASN: external, peerAddress: 192.0.2.1, ebgpMultiHop: true, holdTime: 0s}`, ""},
		"PeerNoSpec":        {"BGPPeer", ``, "spec: Required value"},
		"PeerNoASN":         {"BGPPeer", `{myASN: 64512, peerAddress: 192.0.2.1}`, "exactly one of peerASN and dynamicASN must be set"},
		"PeerTwoASNs":       {"BGPPeer", `{myASN: 64512, peerASN: 1, dynamicASN: internal, peerAddress: 192.0.2.1}`, "exactly one of peerASN and dynamicASN must be set"},
		"PeerASN0":          {"BGPPeer", `{myASN: 0, peerASN: 1, peerAddress: 192.0.2.1}`, "spec.myASN in body should be greater than or equal to 1"},
		"PeerLongASN":       {"BGPPeer", `{myASN: 4294967296, peerASN: 1, peerAddress: 192.0.2.1}`, "should be less than or equal to 4294967295"},
		"PeerDynamicASN":    {"BGPPeer", `{myASN: 1, dynamicASN: any, peerAddress: 192.0.2.1}`, "Unsupported value"},
		"PeerNowhere":       {"BGPPeer", `{myASN: 64512, peerASN: 64513}`, "exactly one of peerAddress and interface must be set"},
		"PeerTwoPlaces":     {"BGPPeer", `{myASN: 64512, peerASN: 64513, peerAddress: 192.0.2.1, interface: eth1}`, "exactly one of peerAddress and interface must be set"},
		"PeerName":          {"BGPPeer", `{myASN: 64512, peerASN: 64513, peerAddress: router}`, "peerAddress must be an IP address"},
		"PeerMulticast":     {"BGPPeer", `{myASN: 64512, peerASN: 64513, peerAddress: 224.0.0.5}`, "must be the address of one router"},
		"PeerUnspecified":   {"BGPPeer", `{myASN: 64512, peerASN: 64513, peerAddress: "::"}`, "must be the address of one router"},
		"PeerLinkLocal":     {"BGPPeer", `{myASN: 64512, peerASN: 64513, peerAddress: fe80::1}`, "is named by interface, not by peerAddress"},
		"PeerLinkLocal4":    {"BGPPeer", `{myASN: 64512, peerASN: 64513, peerAddress: 169.254.1.1}`, ""},
		"PeerPort0":         {"BGPPeer", `{myASN: 64512, peerASN: 64513, peerAddress: 192.0.2.1, peerPort: 0}`, "spec.peerPort in body should be greater than or equal to 1"},
		"PeerSource":        {"BGPPeer", `{myASN: 64512, peerASN: 64513, peerAddress: 192.0.2.1, sourceAddress: 2001:db8::1}`, "must be of one family"},
		"PeerSourceOfLink":  {"BGPPeer", `{myASN: 64512, peerASN: 64513, interface: eth1, sourceAddress: 2001:db8::1}`, "sourceAddress needs peerAddress"},
		"PeerHoldTime2":     {"BGPPeer", `{myASN: 64512, peerASN: 64513, peerAddress: 192.0.2.1, holdTime: 2s}`, "holdTime must be 0s, or between 3s and 65535s"},
		"PeerHoldTimeLong":  {"BGPPeer", `{myASN: 64512, peerASN: 64513, peerAddress: 192.0.2.1, holdTime: 20h}`, "holdTime must be 0s, or between 3s and 65535s"},
		"PeerHoldTimeSplit": {"BGPPeer", `{myASN: 64512, peerASN: 64513, peerAddress: 192.0.2.1, holdTime: 3500ms}`, "holdTime must be whole seconds"},
		"PeerKeepalive":     {"BGPPeer", `{myASN: 64512, peerASN: 64513, peerAddress: 192.0.2.1, holdTime: 9s, keepaliveTime: 10s}`, "keepaliveTime must not be longer than holdTime"},
		"PeerKeepaliveOnly": {"BGPPeer", `{myASN: 64512, peerASN: 64513, peerAddress: 192.0.2.1, keepaliveTime: 10s}`, ""},
		"PeerConnectTime0":  {"BGPPeer", `{myASN: 64512, peerASN: 64513, peerAddress: 192.0.2.1, connectTime: 0s}`, "connectTime must be between 1s and 65535s"},
		"PeerRouterID":      {"BGPPeer", `{myASN: 64512, peerASN: 64513, peerAddress: 192.0.2.1, routerID: "2001:db8::1"}`, "routerID must have the form of an IPv4 address"},
		"PeerRouterID0":     {"BGPPeer", `{myASN: 64512, peerASN: 64513, peerAddress: 192.0.2.1, routerID: 0.0.0.0}`, "routerID must have the form of an IPv4 address"},
		"PeerInternalHops":  {"BGPPeer", `{myASN: 64512, peerASN: 64512, peerAddress: 192.0.2.1, ebgpMultiHop: true}`, "ebgpMultiHop is for external peers"},
		"PeerDynamicHops":   {"BGPPeer", `{myASN: 64512, dynamicASN: internal, peerAddress: 192.0.2.1, ebgpMultiHop: true}`, "ebgpMultiHop is for external peers"},
		"PeerHopsTwice":     {"BGPPeer", `{myASN: 64512, peerASN: 64513, peerAddress: 192.0.2.1, ebgpMultiHop: true, ttlSecurity: 2}`, "exclude each other"},
		"PeerHopsOfLink":    {"BGPPeer", `{myASN: 64512, peerASN: 64513, interface: eth1, ebgpMultiHop: true}`, "ebgpMultiHop needs peerAddress"},
		"PeerLocalASN":      {"BGPPeer", `{myASN: 64512, peerASN: 64512, peerAddress: 192.0.2.1, localASN: 64600}`, "localASN is for external peers"},
		"PeerLocalASNSame":  {"BGPPeer", `{myASN: 64512, dynamicASN: external, peerAddress: 192.0.2.1, localASN: 64512}`, "localASN is for external peers"},
		"PeerRestart":       {"BGPPeer", `{myASN: 64512, peerASN: 64513, peerAddress: 192.0.2.1, gracefulRestart: {restartTime: 2h}}`, "restartTime must be between 1s and 4095s"},
		"PeerFamilies":      {"BGPPeer", `{myASN: 64512, peerASN: 64513, peerAddress: 192.0.2.1, addressFamilies: []}`, "should have at least 1 items"},
		"PeerSecret":        {"BGPPeer", `{myASN: 64512, peerASN: 64513, peerAddress: 192.0.2.1, passwordSecret: {name: a, namespace: b}}`, "unknown field"},
		"PeerBadOperator":   {"BGPPeer", `{myASN: 64512, peerASN: 64513, peerAddress: 192.0.2.1, nodeSelectors: [{matchExpressions: [{key: k, operator: in, values: [a]}]}]}`, "Unsupported value"},

		"AdNoSpec":         {"BGPAdvertisement", ``, ""},
		"AdEverything":     {"BGPAdvertisement", `{ipAddressPools: [a], ipAddressPoolSelectors: [{}], nodeSelectors: [{}], serviceSelectors: [{}], peers: [r], localPref: 4294967295, med: 0, asPathPrepend: 16, weightByEndpoints: true, minReadyEndpoints: 2, communities: ["65535:65535", "large:4294967295:0:1", no-export, alias]}`, ""},
		"AdAggregate":      {"BGPAdvertisement", `{aggregationLength: 24, aggregationLengthV6: 64}`, ""},
		"AdHosts":          {"BGPAdvertisement", `{aggregationLength: 32, aggregationLengthV6: 128, serviceSelectors: [{}]}`, ""},
		"AdServices":       {"BGPAdvertisement", `{aggregationLength: 24, serviceSelectors: [{}]}`, "serviceSelectors cannot be used with aggregationLength"},
		"AdServices6":      {"BGPAdvertisement", `{aggregationLengthV6: 64, serviceSelectors: [{}]}`, "serviceSelectors cannot be used with aggregationLength"},
		"AdLength0":        {"BGPAdvertisement", `{aggregationLength: 0}`, "should be greater than or equal to 1"},
		"AdLength33":       {"BGPAdvertisement", `{aggregationLength: 33}`, "should be less than or equal to 32"},
		"AdPrepend17":      {"BGPAdvertisement", `{asPathPrepend: 17}`, "should be less than or equal to 16"},
		"AdMED":            {"BGPAdvertisement", `{med: 4294967296}`, "should be less than or equal to 4294967295"},
		"AdCommunity":      {"BGPAdvertisement", `{communities: ["1:2:3"]}`, `spec.communities[0]: Invalid value: "1:2:3": it must be of the form`},
		"AdCommunityLong":  {"BGPAdvertisement", `{communities: ["65536:1"]}`, "numbers of a standard community are at most 65535"},
		"AdCommunityLarge": {"BGPAdvertisement", `{communities: ["large:1:2:4294967296"]}`, "of a large one at most 4294967295"},
		"AdOperator":       {"BGPAdvertisement", `{nodeSelectors: [{matchExpressions: [{key: k, operator: in, values: [a]}]}]}`, "Unsupported value"},

		"BFDNoSpec":     {"BFDProfile", ``, ""},
		"BFDEverything": {"BFDProfile", `{receiveInterval: 10, transmitInterval: 60000, detectMultiplier: 255, passiveMode: true, minimumTTL: 254, echoMode: false}`, ""},
		"BFDFast":       {"BFDProfile", `{receiveInterval: 9}`, "should be greater than or equal to 10"},
		"BFDOnce":       {"BFDProfile", `{detectMultiplier: 1}`, "should be greater than or equal to 2"},
		"BFDEcho":       {"BFDProfile", `{echoMode: true}`, "echo mode is not supported"},

		"Aliases":      {"Community", `{communities: [{name: a.b-c, value: "65000:1"}, {name: d, value: "large:65000:1:2"}]}`, ""},
		"AliasTwice":   {"Community", `{communities: [{name: a, value: "65000:1"}, {name: a, value: "65000:2"}]}`, "Duplicate value"},
		"AliasTaken":   {"Community", `{communities: [{name: no-export, value: "65000:1"}]}`, "names of well-known communities cannot be aliases"},
		"AliasOfAlias": {"Community", `{communities: [{name: a, value: b}]}`, "a community must be of the form"},
		"AliasLong":    {"Community", `{communities: [{name: a, value: "65536:1"}]}`, "at most 65535"},
		"AliasName":    {"Community", `{communities: [{name: "a:b", value: "65000:1"}]}`, "should match"},
	}
	s := newStage(t)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			manifest := "apiVersion: fairlead.io/v1beta1\nkind: " + tt.kind + "\nmetadata: {name: candidate}\n"
			if tt.spec != "" {
				manifest += "spec: " + tt.spec + "\n"
			}
			var o unstructured.Unstructured
			if err := utilyaml.Unmarshal([]byte(manifest), &o.Object); err != nil {
				t.Fatal(err)
			}
			err := s.api.Create(t.Context(), &o, client.DryRunAll, client.FieldValidation("Strict"))
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("refused:\n%s%v", manifest, err)
			case tt.want != "" && err == nil:
				t.Errorf("accepted, want %q:\n%s", tt.want, manifest)
			case tt.want != "" && !strings.Contains(err.Error(), tt.want):
				t.Errorf("refused with\n%v\nwant\n%s", err, tt.want)
			}
		})
	}
}
