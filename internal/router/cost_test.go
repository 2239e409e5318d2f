package router

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri"
)

func fill(n int) *Router[int] {
	r := New(Options[int]{Online: func(int) bool { return true }})
	for who := range n {
		r.Subscribe(who, colibri.Subscription{Filter: "house/kitchen/temperature", QoS: 1, Identifier: 1})
	}
	return r
}

// TestRouteAllocations holds that a message which one filter matches costs no memory, nor
// one that several match with one subscriber each, nor the turn of a Shared Subscription.
func TestRouteAllocations(t *testing.T) {
	tests := map[string]func() *Router[int]{
		"one subscriber":         func() *Router[int] { return fill(1) },
		"many subscribers":       func() *Router[int] { return fill(1000) },
		"a filter with wildcard": func() *Router[int] { return with(fill(0), "house/+/temperature", 1) },
		"overlap": func() *Router[int] {
			return with(with(fill(50), "house/+/temperature", 50), "#", 50)
		},
		"a Shared Subscription": func() *Router[int] { return with(fill(1), "$share/g/house/#", 3) },
	}
	for name, build := range tests {
		r := build()
		var m Matches[int]
		r.Route("house/kitchen/temperature", -1, &m)
		if len(m.List) == 0 {
			t.Errorf("%s: nobody was found", name)
		}
		if got := testing.AllocsPerRun(100, func() { r.Route("house/kitchen/temperature", -1, &m) }); got != 0 {
			t.Errorf("%s: Route allocates %v times, want 0", name, got)
		}
	}
}

// with adds n subscribers, without identifiers, to filter.
func with(r *Router[int], filter string, n int) *Router[int] {
	for who := range n {
		r.Subscribe(who, colibri.Subscription{Filter: filter})
	}
	return r
}

func BenchmarkRoute(b *testing.B) {
	for _, n := range []int{1, 50, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) { benchmarkRoute(b, fill(n)) })
	}
	for _, n := range []int{50, 10_000} {
		b.Run(fmt.Sprintf("%d,all-of-them-twice", n), func(b *testing.B) { benchmarkRoute(b, with(fill(n), "house/#", n)) })
		b.Run(fmt.Sprintf("%d,one-of-them-twice", n), func(b *testing.B) { benchmarkRoute(b, with(fill(n), "house/#", 1)) })
	}
	b.Run("share-of-100", func(b *testing.B) { benchmarkRoute(b, with(fill(0), "$share/g/house/#", 100)) })
}

func benchmarkRoute(b *testing.B, r *Router[int]) {
	var m Matches[int]
	b.ReportAllocs()
	for b.Loop() {
		r.Route("house/kitchen/temperature", -1, &m)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(m.List)), "ns/match")
}

// BenchmarkSubscribe adds a Subscription to a filter that has n subscribers, and removes
// it.
func BenchmarkSubscribe(b *testing.B) {
	for _, n := range []int{0, 1, 50, 1000, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r := fill(n)
			sub := colibri.Subscription{Filter: "house/kitchen/temperature"}
			b.ReportAllocs()
			for b.Loop() {
				r.Subscribe(-1, sub)
				r.Unsubscribe(-1, sub.Filter)
			}
		})
	}
}

// BenchmarkFill measures what a million Subscriptions, or a hundred thousand to one
// filter, take in time and memory; -benchtime 1x is enough.
func BenchmarkFill(b *testing.B) {
	shapes := []struct {
		filters, subscribers int
		wildcard             string
	}{{1, 100_000, ""}, {1_000_000, 1, ""}, {100_000, 2, ""}, {10_000, 10, ""}, {100_000, 1, "/#"}}
	for _, shape := range shapes {
		b.Run(fmt.Sprintf("%d-filters%s,%d-subscribers", shape.filters, shape.wildcard, shape.subscribers), func(b *testing.B) {
			filters := make([]string, shape.filters)
			for i := range filters {
				filters[i] = fmt.Sprintf("house/%d/temperature%s", i, shape.wildcard)
			}
			count := float64(shape.filters * shape.subscribers)
			for b.Loop() {
				before := heapBytes()
				start := time.Now()
				r := New(Options[int]{Online: func(int) bool { return true }})
				for who := range shape.subscribers {
					for _, filter := range filters {
						r.Subscribe(who, colibri.Subscription{Filter: filter})
					}
				}
				b.ReportMetric(float64(time.Since(start).Nanoseconds())/count, "ns/Subscribe")
				b.ReportMetric(float64(heapBytes()-before)/count, "bytes/Subscription")
				start = time.Now()
				for who := range shape.subscribers {
					for _, filter := range filters {
						r.Unsubscribe(who, filter)
					}
				}
				b.ReportMetric(float64(time.Since(start).Nanoseconds())/count, "ns/Unsubscribe")
				b.ReportMetric(float64(heapBytes()-before)/count, "bytes-left/Subscription")
				runtime.KeepAlive(r)
			}
			runtime.KeepAlive(filters)
		})
	}
}

// heapBytes is what is in use on the heap.
func heapBytes() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
