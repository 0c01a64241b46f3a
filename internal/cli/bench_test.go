package cli

import (
	"fmt"
	"io"
	"runtime"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// large returns a cluster of 100 nodes with 3,000 Services, all well.
func large(b *testing.B) *Cluster {
	b.Helper()
	c, err := fromBundle("testdata/healthy.yaml", "fairlead-system")
	if err != nil {
		b.Fatal(err)
	}
	c.Pools.Items[0].Spec.Addresses = []string{"192.0.0.0/16"}
	service, slice, node, speaker := c.Services.Items[0], c.Slices.Items[0], c.Nodes.Items[1], c.Speakers.Items[1]
	for i := range 98 {
		n, s := *node.DeepCopy(), *speaker.DeepCopy()
		n.Name, s.Name = fmt.Sprintf("node-%d", i+3), fmt.Sprintf("node-%d", i+3)
		n.Status.Addresses[0].Address = fmt.Sprintf("198.51.100.%d", i+3)
		c.Nodes.Items, c.Speakers.Items = append(c.Nodes.Items, n), append(c.Speakers.Items, s)
	}
	for i := range 2999 {
		s, e := *service.DeepCopy(), *slice.DeepCopy()
		s.Name, e.Name = fmt.Sprintf("web-%d", i), fmt.Sprintf("web-%d", i)
		e.Labels["kubernetes.io/service-name"] = s.Name
		a := fmt.Sprintf("192.0.%d.%d", 4+i/250, 1+i%250)
		s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: a}}
		s.Annotations["fairlead.io/announcers"] = fmt.Sprintf("%s=node-%d,node-%d", a, 1+i%100, 1+(i+1)%100)
		c.Services.Items, c.Slices.Items = append(c.Services.Items, s), append(c.Slices.Items, e)
	}
	return c
}

// BenchmarkReports: what it costs to work out a report, once the cluster is read; the heap is what is left of that.
func BenchmarkReports(b *testing.B) {
	c := large(b)
	wider := c.copy()
	wider.Pools.Items[0].Spec.Addresses = []string{"192.0.0.0/15"}
	drained, err := c.drained("node-7")
	if err != nil {
		b.Fatal(err)
	}
	for name, work := range map[string]func() report{
		"status":  func() report { return c.Status() },
		"explain": func() report { e, _ := c.Explain("shop", "web-1500"); return e },
		"plan":    func() report { return c.Plan(wider) },
		"drain":   func() report { return c.Plan(drained) },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				for _, x := range []*Cluster{c, wider, drained} {
					x.snapshot, x.seen = nil, nil
				}
				if err := work().write(io.Discard); err != nil {
					b.Fatal(err)
				}
			}
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			b.ReportMetric(float64(m.Sys)/(1<<20), "MiB-sys")
		})
	}
}
