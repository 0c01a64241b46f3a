// Package metrics makes Fairlead's Prometheus collectors. Each set is made for
// a given Registerer, so that tests have their own; nothing is global. What can be
// counted when it is asked for is: so no series outlives what it is about.
package metrics

import (
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// NewBuild registers fairlead_build_info, which says by its labels which build this is.
func NewBuild(r prometheus.Registerer, version, commit, compiler string) {
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "fairlead_build_info", Help: "1; the labels say which build this is.",
		ConstLabels: prometheus.Labels{"version": version, "commit": commit, "goversion": compiler},
	})
	info.Set(1)
	r.MustRegister(info)
}

// API are the collectors of what passes between a program and the API server.
type API struct {
	took   *prometheus.HistogramVec
	writes *prometheus.CounterVec
}

// NewAPI registers the collectors of requests.
func NewAPI(r prometheus.Registerer) *API {
	a := &API{
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "fairlead_api_request_duration_seconds", Help: "Time that the API server took to answer, by verb. Watches are not measured.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"verb"}),
		writes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fairlead_status_writes_total",
			Help: "Status writes, by resource and HTTP status code. 409: somebody else wrote first, and it was tried again; 0: no answer.",
		}, []string{"resource", "code"}),
	}
	r.MustRegister(a.took, a.writes)
	return a
}

// Answered notes how the API server answered a request.
func (a *API) Answered(verb, resource string, code int, took time.Duration) {
	a.took.WithLabelValues(verb).Observe(took.Seconds())
	if of, status := strings.CutSuffix(resource, "/status"); status {
		a.writes.WithLabelValues(of, strconv.Itoa(code)).Inc()
	}
}

// NewEvents registers the count of events that were not written.
func NewEvents(r prometheus.Registerer, dropped func() uint64) {
	r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "fairlead_events_dropped_total", Help: "Events that were not written, as too many waited or the API server refused them.",
	}, func() float64 { return float64(dropped()) }))
}

// A sample is one number of a collector: its metric, and the values of its labels.
type sample struct {
	of     *prometheus.Desc
	kind   prometheus.ValueType
	value  float64
	labels []string
}

func gauge(of *prometheus.Desc, value float64, labels ...string) sample {
	return sample{of, prometheus.GaugeValue, value, labels}
}

func counter(of *prometheus.Desc, value uint64, labels ...string) sample {
	return sample{of, prometheus.CounterValue, float64(value), labels}
}

// collector collects numbers that are made when they are asked for.
type collector struct {
	of      []*prometheus.Desc
	samples func(yield func(sample))
}

// Describe says which metrics there are.
func (c collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.of {
		out <- d
	}
}

// Collect asks for the numbers.
func (c collector) Collect(out chan<- prometheus.Metric) {
	c.samples(func(s sample) { out <- prometheus.MustNewConstMetric(s.of, s.kind, s.value, s.labels...) })
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
