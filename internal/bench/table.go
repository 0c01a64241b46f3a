//go:build linux

package main

import (
	"fmt"
	"os"
	"time"

	"github.com/fairlead-lb/fairlead/internal/measure"
)

// headingf begins a table, with a line that says how its figures were taken.
func headingf(format string, method ...any) {
	fmt.Printf("\n"+format+"\n\n| what | median | worst | must be |\n|---|---|---|---|\n", method...)
}

// row prints the median and the greatest of some values; mustBe may be empty.
func row(what, mustBe, format string, values ...float64) {
	fmt.Printf("| %s | "+format+" | "+format+" | %s |\n", what, measure.Quantile(values, 0.5), measure.Quantile(values, 1), mustBe)
}

// rowOf prints a row of what each run has measured.
func rowOf[T any](all []T, what, mustBe, format string, of func(T) float64) {
	var values []float64
	for _, v := range all {
		values = append(values, of(v))
	}
	row(what, mustBe, format, values...)
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// progressf tells on the terminal what is under way.
func progressf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s  "+format+"\n", append([]any{time.Now().Format(time.TimeOnly)}, args...)...)
}
