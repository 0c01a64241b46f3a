package gossip

import (
	"testing"
	"time"
)

func TestAlarm(t *testing.T) {
	a, err := newAlarm()
	if err != nil {
		t.Fatal(err)
	}
	rung := make(chan error)
	go func() {
		for err := error(nil); err == nil; {
			err = a.wait()
			rung <- err
		}
	}()
	silent := func(d time.Duration) {
		t.Helper()
		select {
		case err := <-rung:
			t.Fatalf("it rang: %v", err)
		case <-time.After(d):
		}
	}
	silent(50 * time.Millisecond)
	for _, after := range []time.Duration{-time.Second, 0, time.Millisecond} {
		a.set(after)
		if err := <-rung; err != nil {
			t.Fatal(err)
		}
	}
	start := time.Now()
	a.set(time.Millisecond / 2)
	a.set(time.Hour)
	a.set(100 * time.Millisecond)
	if err := <-rung; err != nil || time.Since(start) < 100*time.Millisecond {
		t.Fatalf("after %s: %v", time.Since(start), err)
	}
	silent(50 * time.Millisecond)
	a.close()
	if <-rung == nil {
		t.Error("it rings though it is closed")
	}
	a.set(time.Millisecond)
}
