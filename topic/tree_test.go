package topic

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// matches returns what tree.Match yields for name, sorted.
func matches(tree *Tree[string], name string) []string {
	got := []string{}
	tree.Match(name, func(v *string) bool {
		got = append(got, *v)
		return true
	})
	slices.Sort(got)
	return got
}

// set gives filter its own text as value.
func set(tree *Tree[string], filter string) { tree.Set(filter, &filter) }

func TestTreeMatch(t *testing.T) {
	for _, test := range matchTests {
		var alone Tree[string]
		set(&alone, test.filter)
		want := []string{}
		if test.want {
			want = append(want, test.filter)
		}
		if diff := cmp.Diff(want, matches(&alone, test.name)); diff != "" {
			t.Errorf("%s: filter %q, name %q (-want +got):\n%s", test.why, test.filter, test.name, diff)
		}
	}

	var tree Tree[string] // all filters of the table at once
	filters := map[string]bool{}
	for _, test := range matchTests {
		filters[test.filter] = true
		set(&tree, test.filter)
	}
	if tree.Len() != len(filters) {
		t.Errorf("Len: got %d, want %d", tree.Len(), len(filters))
	}
	for _, test := range matchTests {
		wantMatches(t, &tree, filters, test.name)
	}
}

// wantMatches holds tree, which has the given filters, against the function Match.
func wantMatches(t *testing.T, tree *Tree[string], filters map[string]bool, name string) {
	t.Helper()
	want := []string{}
	for filter := range filters {
		if Match(filter, name) {
			want = append(want, filter)
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, matches(tree, name)); diff != "" {
		t.Errorf("name %q (-want +got):\n%s", name, diff)
	}
}

func TestTreeSetGetDelete(t *testing.T) {
	for _, filter := range []string{"a", "a/b", "a/#", "#", "+", "a/+/b", "+/+/#", "$SYS/#"} {
		t.Run(filter, func(t *testing.T) {
			var tree Tree[int]
			if got := tree.Get(filter); got != nil {
				t.Fatalf("Get from an empty tree: got %v, want nil", got)
			}
			tree.Delete(filter)
			one, two := 1, 2
			tree.Set(filter, &one)
			tree.Set(filter, &two)
			if got := tree.Get(filter); got != &two {
				t.Errorf("Get after Set twice: got %v, want the second", got)
			}
			tree.Update(filter, func(old *int) *int {
				if old != &two {
					t.Errorf("Update: got %v, want the second", old)
				}
				return &one
			})
			if got := tree.Get(filter); got != &one {
				t.Errorf("Get after Update: got %v, want the first", got)
			}
			if tree.Len() != 1 {
				t.Errorf("Len: got %d, want 1", tree.Len())
			}
			tree.Delete(filter)
			tree.Delete(filter)
			if got := tree.Get(filter); got != nil || tree.Len() != 0 {
				t.Errorf("after Delete: got %v and Len %d, want nil and 0", got, tree.Len())
			}
			tree.Set(filter, &one)
			tree.Set(filter, nil)
			if got := tree.Get(filter); got != nil || tree.Len() != 0 {
				t.Errorf("after Set to nil: got %v and Len %d, want nil and 0", got, tree.Len())
			}
		})
	}
}

func TestTreeStopsWhenYieldDoes(t *testing.T) {
	var tree Tree[string]
	for _, filter := range []string{"a/b", "a/+", "+/b", "+/+", "#", "a/#", "a/b/#"} {
		set(&tree, filter)
	}
	for limit := 1; limit <= 7; limit++ {
		got := 0
		stop := func(*string) bool { got++; return got < limit }
		tree.Match("a/b", stop)
		if got != limit {
			t.Errorf("Match: got %d calls, want %d", got, limit)
		}
		got = 0
		tree.All(stop)
		if got != limit {
			t.Errorf("All: got %d calls, want %d", got, limit)
		}
	}
}

func TestTreeGivesMemoryBack(t *testing.T) {
	var tree Tree[string]
	filters := churnFilters(5000)
	for _, filter := range filters {
		set(&tree, filter)
	}
	for _, filter := range filters {
		tree.Delete(filter)
	}
	wantEmpty(t, &tree)

	for i, filter := range filters { // 100 at a time
		set(&tree, filter)
		if i >= 100 {
			tree.Delete(filters[i-100])
		}
	}
	got := len(tree.root.children.Load().slots)
	for i := range tree.exact {
		if table := tree.exact[i].Load(); table != nil {
			got += len(table.slots)
		}
	}
	if got > 1000 {
		t.Errorf("100 filters after the churn of %d: got %d slots, want at most 1,000", len(filters), got)
	}
	for _, filter := range filters[len(filters)-100:] {
		if tree.Get(filter) == nil {
			t.Errorf("%q is gone", filter)
		}
		tree.Delete(filter)
	}
	wantEmpty(t, &tree)
}

// churnFilters returns n different filters, some with wildcards.
func churnFilters(n int) []string {
	filters := make([]string, n)
	for i := range filters {
		form := []string{"maison%d", "maison%d/+/temperature", "maison%d/salon/#", "+/maison%d", "a/maison%d/b", "a/maison%d/+/b/+/c/#"}[i%6]
		filters[i] = fmt.Sprintf(form, i)
	}
	return filters
}

// wantEmpty looks that tree holds nothing, and no memory for what it held.
func wantEmpty(t *testing.T, tree *Tree[string]) {
	t.Helper()
	if tree.Len() != 0 {
		t.Errorf("Len: got %d, want 0", tree.Len())
	}
	tree.All(func(v *string) bool {
		t.Errorf("All: got %q, want nothing", *v)
		return true
	})
	if tree.root.children.Load() != nil || tree.root.plus.Load() != nil || tree.root.rest.Load() != nil {
		t.Error("the trie has nodes left")
	}
	for i := range tree.exact {
		if tree.exact[i].Load() != nil {
			t.Errorf("table %d is left", i)
		}
	}
}

func TestTreeDeepFilters(t *testing.T) {
	var tree Tree[string]
	deep := strings.Repeat("+/", 32767) + "+"
	name := strings.Repeat("/", 32767)
	set(&tree, deep)
	set(&tree, name)
	if diff := cmp.Diff([]string{deep, name}, matches(&tree, name)); diff != "" {
		t.Errorf("32,768 levels (-want +got):\n%s", diff)
	}
	tree.Delete(deep)
	tree.Delete(name)
	wantEmpty(t, &tree)

	// A "+" beside a literal at every level: 2 filters of each length, never 2^n steps.
	filters := map[string]bool{}
	for i := range 60 {
		filters[strings.Repeat("a/", i)+"+/b"] = true
		filters[strings.Repeat("+/", i)+"a"] = true
	}
	for filter := range filters {
		set(&tree, filter)
	}
	wantMatches(t, &tree, filters, strings.Repeat("a/", 60)+"a")
	wantMatches(t, &tree, filters, strings.Repeat("a/", 40)+"b")
}

func TestTreeMatchAllocatesNothing(t *testing.T) {
	var tree Tree[string]
	for _, test := range matchTests {
		set(&tree, test.filter)
	}
	var fan string // 16 open branches at once
	for range forks {
		set(&tree, fan+"+/never")
		fan += "a/"
	}
	names := []string{"maison/salon/temperature", "a/b", "$SYS/broker/uptime", "x/abcdefghijklmnop", fan + "x", strings.Repeat("a/", 30000)}
	found := 0
	count := func(*string) bool { found++; return true }
	for _, name := range names {
		if got := testing.AllocsPerRun(100, func() { tree.Match(name, count) }); got != 0 {
			t.Errorf("name %.40q: got %v allocations, want 0", name, got)
		}
	}
	if found == 0 {
		t.Error("nothing was found")
	}
}

// TestTreeConcurrently has writers change filters while readers look: what is there all the
// time is seen exactly once in each call, and nothing is seen that does not match.
func TestTreeConcurrently(t *testing.T) {
	const name = "maison/salon/temperature"
	steady := []string{name, "maison/+/temperature", "maison/#", "#", "+/salon/+"}
	passing := []string{"maison/salon/+", "+/+/temperature", "maison/salon/#", "maison/salon/temperature/#", "+/#"}
	var tree Tree[string]
	for _, filter := range steady {
		set(&tree, filter)
	}
	var writers, readers sync.WaitGroup
	for w := range 2 {
		others := churnFilters(600)
		writers.Go(func() {
			for range 4 {
				for i, filter := range others {
					set(&tree, passing[(i+w)%len(passing)])
					set(&tree, filter)
					set(&tree, steady[i%len(steady)])
					tree.Delete(passing[(i+w+2)%len(passing)])
					if i%2 == w {
						tree.Delete(filter)
					}
				}
				for _, filter := range others {
					tree.Delete(filter)
				}
			}
		})
	}
	done := make(chan struct{})
	for range 2 {
		readers.Go(func() {
			for running := true; running; {
				select {
				case <-done:
					running = false
				default:
				}
				seen := map[string]int{}
				tree.Match(name, func(v *string) bool {
					seen[*v]++
					return true
				})
				for filter, times := range seen {
					if times != 1 || !Match(filter, name) {
						t.Errorf("%q was seen %d times for %q", filter, times, name)
						return
					}
				}
				for _, filter := range steady {
					if seen[filter] != 1 || tree.Get(filter) == nil {
						t.Errorf("%q was not seen", filter)
						return
					}
				}
				all := 0
				tree.All(func(*string) bool { all++; return true })
				if all < len(steady) {
					t.Errorf("All: got %d filters, want at least %d", all, len(steady))
					return
				}
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
	for _, filter := range slices.Concat(steady, passing) {
		tree.Delete(filter)
	}
	wantEmpty(t, &tree)
}

// FuzzTreeAgainstMatch runs a script against a Tree and a plain map. Each line of the script
// is a filter to set, or with "!" before it to delete.
func FuzzTreeAgainstMatch(f *testing.F) {
	f.Add("a/+\na/#\na\n!a/+\n#", "a/b")
	f.Add("+/+\n$SYS/#\n+/#\n!+/#\n!$SYS/#", "$SYS/x")
	f.Add("a//b\n/+\na/+/b/+\na/+/b/#\n!a/+/b/+", "a//b/c")
	f.Add("a-long-level-name\n+/a-long-level-name\n!a-long-level-name", "/a-long-level-name")
	f.Fuzz(func(t *testing.T, script, name string) {
		var tree Tree[string]
		filters := map[string]bool{}
		for line := range strings.SplitSeq(script, "\n") {
			if filter, ok := strings.CutPrefix(line, "!"); ok {
				tree.Delete(filter)
				delete(filters, filter)
			} else {
				set(&tree, line)
				filters[line] = true
			}
		}
		if tree.Len() != len(filters) {
			t.Errorf("Len: got %d, want %d", tree.Len(), len(filters))
		}
		wantMatches(t, &tree, filters, name)
		all := 0
		tree.All(func(v *string) bool {
			all++
			if !filters[*v] {
				t.Errorf("All: got %q, which is not set", *v)
			}
			return true
		})
		if all != len(filters) {
			t.Errorf("All: got %d filters, want %d", all, len(filters))
		}
		for filter := range filters {
			if got := tree.Get(filter); got == nil || *got != filter {
				t.Errorf("Get(%q): got %v", filter, got)
			}
			// A name that the filter matches, or nearly.
			wantMatches(t, &tree, filters, strings.NewReplacer("+", "x", "#", "y/z").Replace(filter))
		}
		for filter := range filters {
			tree.Delete(filter)
		}
		wantEmpty(t, &tree)
	})
}

// The subscriptions of the benchmarks: 90 % exact, 9 % with "+", 1 % with "#", on the topics
// of devices that have one subscription each.
func benchmarkFilter(i int) string {
	switch kind := i % 100; {
	case kind == 0:
		return benchmarkName(i, "site%d/building%d/device%d/#")
	case kind <= 3:
		return benchmarkName(i, "site%d/building%d/device%d/+")
	case kind <= 6:
		return benchmarkName(i, "+/building%[2]d/device%[3]d/temperature")
	case kind <= 9:
		return benchmarkName(i, "site%d/+/device%[3]d/temperature")
	}
	return benchmarkName(i, "site%d/building%d/device%d/temperature")
}

func benchmarkName(i int, form string) string {
	return fmt.Sprintf(form, i%500, i/500%40, i)
}

// benchmarkTree returns a Tree of n subscriptions, all with one value, and what it takes.
func benchmarkTree(n int) (*Tree[int], float64) {
	before := liveBytes()
	tree, value := new(Tree[int]), new(int)
	for i := range n {
		tree.Set(benchmarkFilter(i), value)
	}
	return tree, float64(liveBytes()-before) / float64(n)
}

// liveBytes returns the bytes of the heap that are in use.
func liveBytes() uint64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

func BenchmarkTreeMatch1M(b *testing.B) {
	const n = 1_000_000
	tree, bytes := benchmarkTree(n)
	hits := 0
	count := func(*int) bool { hits++; return true }
	for _, topics := range []int{n, 1000} {
		names := make([]string, topics)
		state := uint32(1)
		for i := range names {
			state = state*1664525 + 1013904223
			names[i] = benchmarkName(int(uint64(state)*n>>32), "site%d/building%d/device%d/temperature")
		}
		b.Run(fmt.Sprintf("topics=%d", topics), func(b *testing.B) {
			hits = 0
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				tree.Match(names[i], count)
				if i++; i == topics {
					i = 0
				}
			}
			b.ReportMetric(float64(hits)/float64(b.N), "matches/op")
			b.ReportMetric(bytes, "bytes/sub")
		})
	}
}

func BenchmarkTreeSet1M(b *testing.B) {
	const n = 1_000_000
	filters := make([]string, n)
	for i := range filters {
		filters[i] = benchmarkFilter(i)
	}
	value := new(int)
	b.ReportAllocs()
	for b.Loop() {
		tree := new(Tree[int])
		for _, filter := range filters {
			tree.Set(filter, value)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/sub")
}
