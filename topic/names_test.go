package topic

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// selected returns what names.Select yields for filter, sorted.
func selected(names *Names[string], filter string) []string {
	got := []string{}
	names.Select(filter, func(name string, v *string) bool {
		got = append(got, name)
		if *v != name {
			got = append(got, "wrong value "+*v)
		}
		return true
	})
	slices.Sort(got)
	return got
}

// keep gives name its own text as value.
func keep(names *Names[string], name string) { names.Set(name, &name) }

// wantSelected holds names, which has the given names, against the function Match.
func wantSelected(t *testing.T, names *Names[string], kept map[string]bool, filter string) {
	t.Helper()
	want := []string{}
	for name := range kept {
		if Match(filter, name) {
			want = append(want, name)
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, selected(names, filter)); diff != "" {
		t.Errorf("filter %q (-want +got):\n%s", filter, diff)
	}
}

func TestNamesSelect(t *testing.T) {
	var names Names[string]
	kept := map[string]bool{}
	for _, test := range matchTests {
		var alone Names[string]
		keep(&alone, test.name)
		want := []string{}
		if test.want {
			want = append(want, test.name)
		}
		if diff := cmp.Diff(want, selected(&alone, test.filter)); diff != "" {
			t.Errorf("%s: filter %q, name %q (-want +got):\n%s", test.why, test.filter, test.name, diff)
		}
		keep(&names, test.name)
		kept[test.name] = true
	}
	if names.Len() != len(kept) {
		t.Errorf("Len: got %d, want %d", names.Len(), len(kept))
	}
	for _, test := range matchTests {
		wantSelected(t, &names, kept, test.filter)
	}
}

func TestNamesSetGetDelete(t *testing.T) {
	var names Names[int]
	one, two := 1, 2
	all := []string{"maison", "maison/salon/temperature", "maison/salon", "maison/salon/humidite", "a", "/", "$SYS/uptime"}
	for _, name := range all {
		if got := names.Get(name); got != nil {
			t.Errorf("Get(%q) before Set: got %v, want nil", name, got)
		}
		names.Set(name, &one)
		names.Set(name, &two)
		names.Update(name, func(old *int) *int {
			if old != &two {
				t.Errorf("Update(%q): got %v, want the second", name, old)
			}
			return &one
		})
		if got := names.Get(name); got != &one {
			t.Errorf("Get(%q): got %v, want the first", name, got)
		}
	}
	names.Delete("maison/cuisine")
	names.Delete("")
	for i, name := range all {
		if got, want := names.Len(), len(all)-i; got != want {
			t.Errorf("Len: got %d, want %d", got, want)
		}
		names.Delete(name)
		names.Delete(name)
		for _, left := range all[i+1:] {
			if names.Get(left) != &one {
				t.Errorf("%q went with %q", left, name)
			}
		}
	}
	if names.root.children.Load() != nil {
		t.Error("nodes are left")
	}
	names.Set("maison", &one)
	names.Set("maison", nil)
	if names.Len() != 0 || names.root.children.Load() != nil {
		t.Error("Set to nil left something")
	}
}

func TestNamesSelectOfMany(t *testing.T) {
	const many = 20_000
	var names Names[string]
	for i := range many {
		keep(&names, fmt.Sprintf("maison%d/salon%d/capteur%d", i%10, i%1000, i))
	}
	keep(&names, "$SYS/uptime")
	got := 0
	names.Select("#", func(name string, v *string) bool { // yield may change what it walks over
		got++
		names.Delete(name)
		if names.Get(name) != nil {
			t.Errorf("%q is still there", name)
		}
		return true
	})
	if got != many || names.Len() != 1 {
		t.Errorf("got %d names and %d left, want %d and 1", got, names.Len(), many)
	}
	names.Delete("$SYS/uptime")
	if names.root.children.Load() != nil {
		t.Error("nodes are left")
	}
}

func TestNamesStopsWhenYieldDoes(t *testing.T) {
	var names Names[string]
	for _, name := range []string{"a", "a/b", "a/c", "a/b/c", "a/d/e"} {
		keep(&names, name)
	}
	for limit := 1; limit <= 5; limit++ {
		got := 0
		names.Select("a/#", func(string, *string) bool { got++; return got < limit })
		if got != limit {
			t.Errorf("got %d calls, want %d", got, limit)
		}
	}
}

func TestNamesDeep(t *testing.T) {
	var names Names[string]
	deep := strings.Repeat("/", 32767)
	keep(&names, deep)
	for _, filter := range []string{"#", deep, "+/#", strings.Repeat("+/", 32767) + "+"} {
		if got := selected(&names, filter); len(got) != 1 {
			t.Errorf("filter %.20q: got %d names, want 1", filter, len(got))
		}
	}
	names.Delete(deep)
	if names.root.children.Load() != nil {
		t.Error("nodes are left")
	}
}

func TestNamesGetAllocatesNothing(t *testing.T) {
	var names Names[string]
	keep(&names, "maison/salon/temperature")
	if got := testing.AllocsPerRun(100, func() { names.Get("maison/salon/temperature") }); got != 0 {
		t.Errorf("got %v allocations, want 0", got)
	}
}

// TestNamesConcurrently has writers change names while readers select: what is there all
// the time is seen exactly once in each call, and nothing is seen that does not match.
func TestNamesConcurrently(t *testing.T) {
	var names Names[string]
	steady := []string{"maison", "maison/salon/temperature", "maison/salon/a-rather-long-level"}
	for _, name := range steady {
		keep(&names, name)
	}
	var writers, readers sync.WaitGroup
	for w := range 2 {
		writers.Go(func() {
			for round := range 5 {
				for i := range 400 {
					keep(&names, fmt.Sprintf("maison/salon/capteur%d", i))
					keep(&names, fmt.Sprintf("maison/chambre%d/lampe", i))
					keep(&names, steady[i%len(steady)])
					names.Delete(fmt.Sprintf("maison/chambre%d/lampe", i-10*w-round))
				}
				for i := range 400 {
					names.Delete(fmt.Sprintf("maison/salon/capteur%d", i))
					names.Delete(fmt.Sprintf("maison/chambre%d/lampe", i))
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
				names.Select("maison/#", func(name string, v *string) bool {
					seen[name]++
					if *v != name {
						t.Errorf("%q has the value of %q", name, *v)
					}
					return true
				})
				for name, times := range seen {
					if times != 1 {
						t.Errorf("%q was seen %d times", name, times)
						return
					}
				}
				for _, name := range steady {
					if seen[name] != 1 || names.Get(name) == nil {
						t.Errorf("%q was not seen", name)
						return
					}
				}
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
	if diff := cmp.Diff(len(steady), len(selected(&names, "#"))); diff != "" {
		t.Errorf("names left (-want +got):\n%s", diff)
	}
}

// FuzzNamesAgainstMatch runs a script against a Names and a plain map. Each line of the
// script is a name to set, or with "!" before it to delete.
func FuzzNamesAgainstMatch(f *testing.F) {
	f.Add("a/b\na\na/b/c\n!a/b", "a/#")
	f.Add("$SYS/x\nx\n$a-rather-long-level/x\n/", "+/x")
	f.Add("a//b\n//\n!a//b\na/", "a/+")
	f.Fuzz(func(t *testing.T, script, filter string) {
		var names Names[string]
		kept := map[string]bool{}
		for line := range strings.SplitSeq(script, "\n") {
			if name, ok := strings.CutPrefix(line, "!"); ok {
				names.Delete(name)
				delete(kept, name)
			} else {
				keep(&names, line)
				kept[line] = true
			}
		}
		if names.Len() != len(kept) {
			t.Errorf("Len: got %d, want %d", names.Len(), len(kept))
		}
		wantSelected(t, &names, kept, filter)
		for name := range kept {
			if got := names.Get(name); got == nil || *got != name {
				t.Errorf("Get(%q): got %v", name, got)
			}
			above, _, _ := strings.Cut(name, "/")
			wantSelected(t, &names, kept, above+"/#")
			wantSelected(t, &names, kept, "+"+name[len(above):])
			wantSelected(t, &names, kept, above+"/+")
		}
		for name := range kept {
			names.Delete(name)
		}
		if names.Len() != 0 || names.root.children.Load() != nil {
			t.Errorf("got %d names left, want none and no nodes", names.Len())
		}
	})
}

func BenchmarkNamesSelect200k(b *testing.B) {
	const many = 200_000
	before := liveBytes()
	names, value := new(Names[int]), new(int)
	texts := make([]string, many)
	for i := range texts {
		texts[i] = benchmarkName(i, "site%d/building%d/device%d/temperature")
	}
	strings := liveBytes() - before
	for _, name := range texts {
		names.Set(name, value)
	}
	bytes := float64(liveBytes()-before-strings) / many
	b.ReportAllocs()
	found := 0
	for b.Loop() {
		names.Select("#", func(string, *int) bool { found++; return true })
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(found), "ns/name")
	b.ReportMetric(bytes, "bytes/name")
}
