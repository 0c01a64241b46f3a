package config

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
)

func duration(d time.Duration) *metav1.Duration { return &metav1.Duration{Duration: d} }

func expression(key, operator string, values ...string) []v1beta1.LabelSelector {
	return []v1beta1.LabelSelector{{MatchExpressions: []v1beta1.LabelSelectorRequirement{{Key: key, Operator: operator, Values: values}}}}
}

// router is a BGPPeer with as little as it may have, and what a test changes of that.
func router(change func(*v1beta1.BGPPeerSpec)) v1beta1.BGPPeerSpec {
	s := v1beta1.BGPPeerSpec{MyASN: 64512, PeerASN: 64513, PeerAddress: "192.0.2.1"}
	if change != nil {
		change(&s)
	}
	return s
}

func TestParsePeer(t *testing.T) {
	plain := func(change func(*Peer)) Peer {
		p := Peer{
			Name: "p", MyASN: 64512, PeerASN: 64513, Address: netip.MustParseAddr("192.0.2.1"), Port: 179,
			HoldTime: 90 * time.Second, Keepalive: 30 * time.Second, ConnectTime: 10 * time.Second, IPv4Unicast: true,
		}
		change(&p)
		return p
	}
	cases := map[string]struct {
		reason string
		spec   v1beta1.BGPPeerSpec
		want   Peer
	}{
		"Plain": {"what is absent has its default", router(nil), plain(func(*Peer) {})},
		"Everything": {
			"every field arrives", router(func(s *v1beta1.BGPPeerSpec) {
				s.MyASN, s.LocalASN, s.PeerPort, s.SourceAddress = 4200000000, 64600, 1179, "192.0.2.9"
				s.HoldTime, s.KeepaliveTime, s.ConnectTime = duration(9*time.Second), duration(2*time.Second), duration(time.Second)
				s.RouterID, s.PasswordSecret = "192.0.2.10", &v1beta1.SecretReference{Name: "secret"}
				s.GracefulRestart, s.TTLSecurity = &v1beta1.GracefulRestart{RestartTime: duration(time.Minute)}, 1
				s.AddressFamilies = []v1beta1.AddressFamily{v1beta1.IPv6Unicast}
			}),
			plain(func(p *Peer) {
				p.MyASN, p.LocalASN, p.Port, p.Source = 4200000000, 64600, 1179, netip.MustParseAddr("192.0.2.9")
				p.HoldTime, p.Keepalive, p.ConnectTime = 9*time.Second, 2*time.Second, time.Second
				p.RouterID, p.PasswordSecret, p.RestartTime, p.TTLSecurity = netip.MustParseAddr("192.0.2.10"), "secret", time.Minute, 1
				p.IPv4Unicast, p.IPv6Unicast = false, true
			}),
		},
		"Unnumbered": {
			"over an interface go both families",
			v1beta1.BGPPeerSpec{MyASN: 64512, DynamicASN: v1beta1.ExternalASN, Interface: "eth1"},
			plain(func(p *Peer) {
				p.PeerASN, p.Dynamic, p.Address, p.Interface, p.IPv6Unicast = 0, v1beta1.ExternalASN, netip.Addr{}, "eth1", true
			}),
		},
		"IPv6": {
			"the family is that of the address", router(func(s *v1beta1.BGPPeerSpec) { s.PeerAddress, s.EBGPMultiHop = "2001:db8::1", true }),
			plain(func(p *Peer) {
				p.Address, p.MultiHop, p.IPv4Unicast, p.IPv6Unicast = netip.MustParseAddr("2001:db8::1"), true, false, true
			}),
		},
		"HoldTime": {
			"the keepalive time is a third of the hold time, in whole seconds",
			router(func(s *v1beta1.BGPPeerSpec) { s.HoldTime = duration(10 * time.Second) }),
			plain(func(p *Peer) { p.HoldTime, p.Keepalive = 10*time.Second, 3*time.Second }),
		},
		"Keepalive": {
			"the hold time is three times the keepalive time",
			router(func(s *v1beta1.BGPPeerSpec) { s.KeepaliveTime = duration(2 * time.Second) }),
			plain(func(p *Peer) { p.HoldTime, p.Keepalive = 6*time.Second, 2*time.Second }),
		},
		"ForEver": {
			"a hold time of 0 is for ever", router(func(s *v1beta1.BGPPeerSpec) { s.HoldTime = duration(0) }),
			plain(func(p *Peer) { p.HoldTime, p.Keepalive = 0, 0 }),
		},
		"Restart": {
			"graceful restart has a time by itself", router(func(s *v1beta1.BGPPeerSpec) { s.GracefulRestart = &v1beta1.GracefulRestart{} }),
			plain(func(p *Peer) { p.RestartTime = 2 * time.Minute }),
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, faults := parsePeer("p", &tc.spec)
			if len(faults) > 0 {
				t.Fatalf("%s: %v", tc.reason, faults)
			}
			if diff := cmp.Diff(tc.want, *got, cmpopts.IgnoreUnexported(Peer{}), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
				t.Errorf("%s: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestPeerFaults has one thing wrong at a time: what the API server refuses is refused here too, as it may have been older.
func TestPeerFaults(t *testing.T) {
	for want, change := range map[string]func(*v1beta1.BGPPeerSpec){
		"myASN: 0 is not an AS number":                                   func(s *v1beta1.BGPPeerSpec) { s.MyASN = 0 },
		"myASN: 4294967296 is not an AS number":                          func(s *v1beta1.BGPPeerSpec) { s.MyASN = 1 << 32 },
		"exactly one of peerASN and dynamicASN must be set":              func(s *v1beta1.BGPPeerSpec) { s.DynamicASN = v1beta1.ExternalASN },
		`dynamicASN: "any" is neither internal nor external`:             func(s *v1beta1.BGPPeerSpec) { s.PeerASN, s.DynamicASN = 0, "any" },
		"exactly one of peerAddress and interface must be set":           func(s *v1beta1.BGPPeerSpec) { s.Interface = "eth1" },
		`peerAddress: "router" is not an IP address`:                     func(s *v1beta1.BGPPeerSpec) { s.PeerAddress = "router" },
		"peerAddress: 224.0.0.5 is not the address of one router":        func(s *v1beta1.BGPPeerSpec) { s.PeerAddress = "224.0.0.5" },
		"peerAddress: fe80::1 is link-local: name the interface instead": func(s *v1beta1.BGPPeerSpec) { s.PeerAddress = "fe80::1" },
		"sourceAddress: 2001:db8::9 is not of the family of peerAddress": func(s *v1beta1.BGPPeerSpec) { s.SourceAddress = "2001:db8::9" },
		"peerPort: 65536 is not between 1 and 65535":                     func(s *v1beta1.BGPPeerSpec) { s.PeerPort = 65536 },
		"holdTime: 2s is not 0s, nor at least 3s":                        func(s *v1beta1.BGPPeerSpec) { s.HoldTime = duration(2 * time.Second) },
		"keepaliveTime: 31s is longer than holdTime, 30s": func(s *v1beta1.BGPPeerSpec) {
			s.HoldTime, s.KeepaliveTime = duration(30*time.Second), duration(31*time.Second)
		},
		"connectTime: 1.5s is not whole seconds between 1s and 18h12m15s":            func(s *v1beta1.BGPPeerSpec) { s.ConnectTime = duration(1500 * time.Millisecond) },
		"ebgpMultiHop: it is for external peers":                                     func(s *v1beta1.BGPPeerSpec) { s.PeerASN, s.EBGPMultiHop = s.MyASN, true },
		"ttlSecurity and ebgpMultiHop exclude each other":                            func(s *v1beta1.BGPPeerSpec) { s.EBGPMultiHop, s.TTLSecurity = true, 2 },
		"ttlSecurity: 255 is not between 0 and 254":                                  func(s *v1beta1.BGPPeerSpec) { s.TTLSecurity = 255 },
		"localASN: it is for external peers, and must differ from myASN and peerASN": func(s *v1beta1.BGPPeerSpec) { s.LocalASN = s.PeerASN },
		"routerID: 2001:db8::1 does not have the form of an IPv4 address, or is 0.0.0.0": func(s *v1beta1.BGPPeerSpec) {
			s.RouterID = "2001:db8::1"
		},
		"gracefulRestart.restartTime: 1h8m16s is not whole seconds between 1s and 1h8m15s": func(s *v1beta1.BGPPeerSpec) {
			s.GracefulRestart = &v1beta1.GracefulRestart{RestartTime: duration(4096 * time.Second)}
		},
		`addressFamilies: "l2vpn" is neither ipv4Unicast nor ipv6Unicast`: func(s *v1beta1.BGPPeerSpec) {
			s.AddressFamilies = []v1beta1.AddressFamily{"l2vpn"}
		},
		`nodeSelectors[0]: "in" is not a valid label selector operator`: func(s *v1beta1.BGPPeerSpec) { s.NodeSelectors = expression("a", "in", "b") },
	} {
		spec := router(change)
		_, faults := parsePeer("p", &spec)
		var got []string
		for _, f := range faults {
			got = append(got, f.message)
		}
		if diff := cmp.Diff([]string{want}, got); diff != "" {
			t.Errorf("-want, +got:\n%s", diff)
		}
	}
}

func peer(name string, age time.Duration, change func(*v1beta1.BGPPeerSpec)) v1beta1.BGPPeer {
	return v1beta1.BGPPeer{
		ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(birth.Add(-age))}, Spec: router(change),
	}
}

func TestPeers(t *testing.T) {
	on := func(address string, nodes []v1beta1.LabelSelector) func(*v1beta1.BGPPeerSpec) {
		return func(s *v1beta1.BGPPeerSpec) { s.PeerAddress, s.NodeSelectors = address, nodes }
	}
	withID := func(id string) func(*v1beta1.BGPPeerSpec) {
		return func(s *v1beta1.BGPPeerSpec) { s.PeerAddress, s.RouterID = "192.0.2.2", id }
	}
	edited := peer("b", 0, on("192.0.2.1", nil))
	former := router(on("192.0.2.2", nil))
	edited.Status.AcceptedSpec = &former
	cases := map[string]struct {
		reason string
		peers  []v1beta1.BGPPeer
		// want has the active peers, with their addresses.
		want []string
		says []Problem
	}{
		"Two": {"two routers", []v1beta1.BGPPeer{peer("b", 0, on("192.0.2.2", nil)), peer("a", 0, nil)}, []string{"a 192.0.2.1", "b 192.0.2.2"}, nil},
		"Same": {
			"the younger is at fault, whatever its name", []v1beta1.BGPPeer{peer("a", 0, nil), peer("b", time.Hour, nil)}, []string{"b 192.0.2.1"},
			[]Problem{{Ref{BGPPeerKind, "a"}, PeerConflict, "BGPPeer b, which is older, has the same address 192.0.2.1, and may be for the same nodes"}},
		},
		"Disjoint": {
			"one router for the nodes of each rack", []v1beta1.BGPPeer{
				peer("a", 0, on("192.0.2.1", expression("rack", "In", "1", "2"))), peer("b", 0, on("192.0.2.1", expression("rack", "In", "3")))},
			[]string{"a 192.0.2.1", "b 192.0.2.1"}, nil,
		},
		"Overlapping": {
			"a node may have both labels", []v1beta1.BGPPeer{
				peer("a", 0, on("192.0.2.1", expression("rack", "In", "1"))), peer("b", 0, on("192.0.2.1", expression("row", "In", "2")))},
			[]string{"a 192.0.2.1"},
			[]Problem{{Ref{BGPPeerKind, "b"}, PeerConflict, "BGPPeer a, which is older, has the same address 192.0.2.1, and may be for the same nodes"}},
		},
		"Edited": {
			"one that is edited so stays as it was", []v1beta1.BGPPeer{peer("a", time.Hour, nil), edited}, []string{"a 192.0.2.1", "b 192.0.2.2"},
			[]Problem{{Ref{BGPPeerKind, "b"}, PeerConflict, "BGPPeer a, which is older, has the same address 192.0.2.1, and may be for the same nodes" +
				"; until that is corrected, what was last accepted (status.acceptedSpec) stays active"}},
		},
		"RouterIDs": {
			"a node has one router ID",
			[]v1beta1.BGPPeer{peer("a", 0, func(s *v1beta1.BGPPeerSpec) { s.RouterID = "192.0.2.8" }), peer("b", 0, withID("192.0.2.9")), peer("c", 0, withID("192.0.2.8"))},
			[]string{"a 192.0.2.1", "c 192.0.2.2"},
			[]Problem{{Ref{BGPPeerKind, "b"}, PeerConflict, "BGPPeer a, which is older, has another routerID, 192.0.2.8, and may be for the same nodes"}},
		},
		"NoProfile": {
			"without its BFDProfile a session is better than none",
			[]v1beta1.BGPPeer{peer("a", 0, func(s *v1beta1.BGPPeerSpec) { s.BFDProfile = "fast" })}, []string{"a 192.0.2.1"},
			[]Problem{{Ref{BGPPeerKind, "a"}, ProfileNotFound, "no BFDProfile that is active is called fast; the sessions are active without BFD"}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s, problems := Build(Objects{BGPPeers: tc.peers})
			var got []string
			for _, p := range s.Peers() {
				got = append(got, p.Name+" "+p.Address.String())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: -want, +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(tc.says, problems); diff != "" {
				t.Errorf("%s: problems: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestBFDProfiles(t *testing.T) {
	echo := v1beta1.BFDProfile{ObjectMeta: metav1.ObjectMeta{Name: "echo"}, Spec: v1beta1.BFDProfileSpec{EchoMode: true, DetectMultiplier: 1}}
	echo.Status.AcceptedSpec = &v1beta1.BFDProfileSpec{}
	fast := v1beta1.BFDProfile{ObjectMeta: metav1.ObjectMeta{Name: "fast"}, Spec: v1beta1.BFDProfileSpec{
		ReceiveInterval: 50, TransmitInterval: 60, DetectMultiplier: 5, PassiveMode: true, MinimumTTL: 250,
	}}
	by := func(name string) func(*v1beta1.BGPPeerSpec) {
		return func(s *v1beta1.BGPPeerSpec) {
			s.BFDProfile, s.PeerAddress = name, "192.0.2."+map[string]string{"echo": "1", "fast": "2"}[name]
		}
	}
	s, problems := Build(Objects{
		BFDProfiles: []v1beta1.BFDProfile{fast, echo}, BGPPeers: []v1beta1.BGPPeer{peer("a", 0, by("echo")), peer("b", 0, by("fast"))},
	})
	want := []*BFDProfile{
		{Name: "echo", Receive: 300 * time.Millisecond, Transmit: 300 * time.Millisecond, Multiplier: 3, MinimumTTL: 254},
		{Name: "fast", Receive: 50 * time.Millisecond, Transmit: 60 * time.Millisecond, Multiplier: 5, Passive: true, MinimumTTL: 250},
	}
	if diff := cmp.Diff(want, []*BFDProfile{s.Peer("a").BFD, s.Peer("b").BFD}); diff != "" {
		t.Errorf("-want, +got:\n%s", diff)
	}
	says := []Problem{
		{Ref{BFDProfileKind, "echo"}, InvalidProfile, "detectMultiplier: 1 is not between 2 and 255"},
		{Ref{BFDProfileKind, "echo"}, InvalidProfile,
			"echoMode: echo mode is not supported; until that is corrected, what was last accepted (status.acceptedSpec) stays active"},
	}
	if diff := cmp.Diff(says, problems); diff != "" {
		t.Errorf("problems: -want, +got:\n%s", diff)
	}
}
