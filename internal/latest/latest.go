// Package latest hands the latest value of something from those who set it to one goroutine that acts upon it. Nobody who sets it is
// ever blocked, and values that were replaced before they were looked at are never seen.
package latest

import "sync/atomic"

// A Value is the latest of its kind. Its methods are safe for concurrent use.
type Value[T any] struct {
	v    atomic.Pointer[T]
	news chan struct{}
}

// New returns a Value that was not set.
func New[T any]() *Value[T] { return &Value[T]{news: make(chan struct{}, 1)} }

// Set replaces the value, and returns the one before; nil if there was none.
func (v *Value[T]) Set(now T) (before *T) {
	before = v.v.Swap(&now)
	v.Ring()
	return before
}

// Get returns the value; nil before the first. What it points to is not to be changed.
func (v *Value[T]) Get() *T { return v.v.Load() }

// Ring has News say that there is something to look at, though the value is the same.
func (v *Value[T]) Ring() {
	select {
	case v.news <- struct{}{}:
	default: // that was said already, and not been looked at
	}
}

// News is received from once or more after a Set or Ring, by one goroutine.
func (v *Value[T]) News() <-chan struct{} { return v.news }
