package gossip

import (
	"errors"
	"net"
	"net/netip"
	"testing"
)

func TestUDP(t *testing.T) {
	for _, at := range []string{"127.9.2.1:29478", "[::1]:29478"} {
		t.Run(at, func(t *testing.T) {
			here := netip.MustParseAddrPort(at)
			u, err := listenUDP(here)
			if err != nil {
				t.Fatal(err)
			}
			received := make(chan error)
			b := make([]byte, 4)
			read := func() {
				n, from, err := u.receive(b)
				if err == nil && (string(b[:n]) != "abcd" || from != here) {
					t.Errorf("%q from %s", b[:n], from)
				}
				received <- err
			}
			go read()
			if err := u.send([]byte("abcdef"), here); err != nil {
				t.Error(err)
			}
			if err := <-received; err != nil {
				t.Error(err)
			}
			if err := u.send(make([]byte, 1<<16), here); err == nil {
				t.Error("sent what is longer than a packet may be")
			}
			go read()
			if err := u.Close(); err != nil {
				t.Error(err)
			}
			if err := <-received; !errors.Is(err, net.ErrClosed) {
				t.Errorf("ended by %v", err)
			}
			if err := u.send([]byte("x"), here); !errors.Is(err, net.ErrClosed) {
				t.Errorf("sent after the end: %v", err)
			}
		})
	}
}
