package bfd

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/router"
)

// frrBGP and birdBGP are routers that end a BGP session when BFD does, and help a neighbour that restarts (RFC 4724).
var frrBGP = router.FRR{"zebra": "", "bfdd": "bfd\n profile fast\n  receive-interval 100\n  transmit-interval 100\n", "bgpd": `router bgp 64513
 bgp router-id 192.0.2.2
 no bgp ebgp-requires-policy
 neighbor 192.0.2.1 remote-as 64512
 neighbor 192.0.2.1 bfd profile fast
`}

func birdBGP(bfd string) router.BIRD {
	return router.BIRD(`log stderr all;
router id 192.0.2.2;
protocol device {}
protocol bfd { interface "eth0" { interval 100 ms; multiplier 3; }; }
protocol kernel { ipv4 { import none; export all; }; }
protocol bgp speaker {
  local as 64513;
  neighbor 192.0.2.1 as 64512;
  passive;
  graceful restart aware;
  bfd ` + bfd + `;
  ipv4 { import all; export none; };
}
`)
}

func message(kind byte, body ...byte) []byte {
	b := make([]byte, 16, 19+len(body))
	for i := range b {
		b[i] = 0xff
	}
	b = binary.BigEndian.AppendUint16(b, uint16(19+len(body)))
	return append(append(b, kind), body...)
}

// speak has a BGP session from 192.0.2.1, with the capability to restart, that announces 203.0.113.7. It ends without a NOTIFICATION,
// and once the router has taken note.
func (w *wire) speak() (end func()) {
	w.Helper()
	// RFC 4271 section 4.2: version, AS, hold time, identifier; RFC 5492: multiprotocol for IPv4 (RFC 4760), restart within 120 s (RFC 4724).
	open := message(1, 4, 0xfc, 0, 0, 90, 192, 0, 2, 1, 16, 2, 14, 1, 4, 0, 1, 0, 1, 64, 6, 0, 120, 0, 1, 1, 0x80)
	update := message(2, 0, 0, 0, 18, 0x40, 1, 1, 0, 0x40, 2, 4, 2, 1, 0xfc, 0, 0x40, 3, 4, 192, 0, 2, 1, 32, 203, 0, 113, 7)
	var conn *net.TCPConn
	w.eventually("BGP connects", func() bool { // a router that is not ready closes
		<-w.on(w.us, func() {
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IP{192, 0, 2, 1}}, Timeout: time.Second}
			c, err := d.DialContext(context.Background(), "tcp4", "192.0.2.2:179")
			if err != nil {
				return
			}
			_, _ = c.Write(open)
			_ = c.SetReadDeadline(time.Now().Add(time.Second))
			head := make([]byte, 21)
			if _, err := io.ReadFull(c, head); err != nil || head[18] != 1 {
				_ = c.Close()
				return
			}
			_ = c.SetReadDeadline(time.Time{})
			conn, _ = c.(*net.TCPConn)
		})
		return conn != nil
	}, func() string { return "" })
	for _, m := range [][]byte{message(4), update, message(2, 0, 0, 0, 0)} {
		if _, err := conn.Write(m); err != nil {
			w.Fatal(err)
		}
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(io.Discard, conn)
	}()
	return func() {
		_ = conn.CloseWrite()
		<-read // until the router has closed its side
		_ = conn.Close()
	}
}

// forwards reports whether the router's kernel has the route.
func (w *wire) forwards() bool {
	out, err := exec.Command("ip", "-n", w.router, "route", "show", "203.0.113.7").Output()
	return err == nil && strings.Contains(string(out), "192.0.2.1")
}

// TestLeave: how a speaker has to end so that routers keep its routes until it is back (RFC 4724, RFC 5882 section 4.3): without BGP's
// NOTIFICATION, and by AdminDown once the router knows of that. BIRD has to be told that BFD is not to undo that.
func TestLeave(t *testing.T) {
	tests := map[string]struct {
		reason string
		config router.Config
		kept   bool
	}{
		"FRR":          {"FRR is a helper by default", frrBGP, true},
		"BIRDGraceful": {"BIRD keeps routes with `bfd graceful`", birdBGP("graceful"), true},
		"BIRDOn":       {"with `bfd on` it takes AdminDown for a failure", birdBGP("on"), false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWire(t)
			r := w.start(tc.config)
			d, _, stop := w.run(sessions(fast)[0])
			end := w.speak()
			up := func() bool {
				all := d.Observed()
				return len(all) == 1 && all[0].State == Up && all[0].RemoteState == Up && all[0].Detection == 300*ms
			}
			_, status := w.all(d, Up)
			w.eventually("BFD is up", up, status)
			w.eventually("the route is there", w.forwards, func() string { s, _ := r.Ask(t.Context(), "show bgp summary"); return s })
			end()
			stop()
			if !tc.kept {
				w.eventually("the route goes", func() bool { return !w.forwards() }, func() string { return tc.reason })
				return
			}
			for until := time.Now().Add(time.Second); time.Now().Before(until); time.Sleep(20 * ms) {
				if !w.forwards() {
					t.Fatalf("%s: the route goes", tc.reason)
				}
			}
		})
	}
}
