package latest

import (
	"sync"
	"testing"
	"testing/synctest"
)

// TestValue: nobody who sets is blocked, and who looks sees the last value, and is never left waiting when there is one.
func TestValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := New[int]()
		if v.Get() != nil {
			t.Error("there is a value before the first")
		}
		var all sync.WaitGroup
		const setters, times = 8, 100
		for range setters {
			all.Go(func() {
				for i := range times {
					v.Set(i)
				}
			})
		}
		all.Wait() // though nobody looks
		if before := v.Set(times); before == nil || *before != times-1 {
			t.Errorf("before was %v", before)
		}
		<-v.News()
		if got := *v.Get(); got != times {
			t.Errorf("the last is %d, want %d", got, times)
		}
		select {
		case <-v.News():
			t.Error("news of what was looked at")
		default:
		}
		go v.Ring()
		<-v.News()
	})
}
