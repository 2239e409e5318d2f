package router

import (
	"slices"
	"testing"
	"unsafe"
)

// sizes are those at which a set changes its form: the first entry alone, one full page,
// the index, the second page, the third.
var sizes = []int{1, 2, 3, 64, 65, 66, 129, 130, 1000}

// members returns the subscribers of a set in its order, and checks what holds of every
// set.
func members(t *testing.T, v *set[int]) []int {
	t.Helper()
	got := []int{}
	for i := range v.len() {
		s := v.at(i).subscriber
		if uint32(s) != v.at(i).identifier {
			t.Errorf("position %d of %d: subscriber %d has the entry of %d", i, v.len(), s, v.at(i).identifier)
		}
		if found := v.find(s); found != i {
			t.Errorf("find(%d) in a set of %d: got %d, want %d", s, v.len(), found, i)
		}
		got = append(got, s)
	}
	if want := (v.len() + pageLength - 2) / pageLength; len(v.pages) != want {
		t.Errorf("a set of %d has %d pages, want %d", v.len(), len(v.pages), want)
	}
	if len(v.pages) == 0 && v.pages != nil {
		t.Errorf("a set of %d holds on to a list of pages", v.len())
	}
	if (v.index != nil) && len(v.index) != v.len() {
		t.Errorf("a set of %d has %d entries in its index", v.len(), len(v.index))
	}
	for i, page := range v.pages {
		for j := range page {
			if position := 1 + i*pageLength + j; position >= v.len() && page[j].subscriber != 0 {
				t.Errorf("a set of %d still refers to subscriber %d", v.len(), page[j].subscriber)
			}
		}
	}
	return got
}

func filled(n int) (v set[int]) {
	for s := 1; s <= n; s++ {
		v, _ = v.with(entry[int]{subscriber: s, identifier: uint32(s)})
	}
	return v
}

func TestSetRemove(t *testing.T) {
	for _, size := range sizes {
		for name, s := range map[string]int{"first": 1, "middle": (size + 1) / 2, "last": size} {
			v := filled(size)
			before := members(t, &v)
			if len(before) != size {
				t.Fatalf("a set of %d has %d members", size, len(before))
			}
			next, existed := v.without(s)
			if !existed {
				t.Errorf("%s of %d: did not exist", name, size)
			}
			got := members(t, &next)
			slices.Sort(got)
			want := slices.DeleteFunc(before, func(member int) bool { return member == s })
			if !slices.Equal(got, want) {
				t.Errorf("%s of %d removed: got %v, want %v", name, size, got, want)
			}
			if _, existed := next.without(s); existed {
				t.Errorf("%s of %d removed twice", name, size)
			}
			again, existed := next.with(entry[int]{subscriber: s, identifier: uint32(s)})
			if existed {
				t.Errorf("%s of %d: existed after its removal", name, size)
			}
			if got := len(members(t, &again)); got != size {
				t.Errorf("%s of %d removed and added: got %d members", name, size, got)
			}
		}
	}
}

// TestSetReplace shows that a second entry of the same subscriber takes the place of the
// first.
func TestSetReplace(t *testing.T) {
	for _, size := range sizes {
		for _, s := range []int{1, (size + 1) / 2, size} {
			v := filled(size)
			next, existed := v.with(entry[int]{subscriber: s, identifier: uint32(s), qos: 2})
			if got := members(t, &next); !existed || len(got) != size {
				t.Errorf("%d of %d replaced: existed %v, %d members", s, size, existed, len(got))
			}
			if got := next.at(next.find(s)).qos; got != 2 {
				t.Errorf("%d of %d replaced: got %v, want QoS 2", s, size, got)
			}
		}
	}
}

// TestSetVersions shows that a version which a reader holds does not change while its
// successors come and go.
func TestSetVersions(t *testing.T) {
	changes := map[string]func(v set[int], size int) set[int]{
		"replaced": func(v set[int], size int) set[int] {
			for s := 1; s <= size; s++ {
				v, _ = v.with(entry[int]{subscriber: s, identifier: uint32(s), qos: 2})
			}
			return v
		},
		"removed": func(v set[int], size int) set[int] {
			for s := 1; s <= size; s++ {
				v, _ = v.without(s)
			}
			return v
		},
		"added and removed": func(v set[int], size int) set[int] {
			for s := size + 1; s <= size+70; s++ {
				v, _ = v.with(entry[int]{subscriber: s, identifier: uint32(s)})
			}
			for s := 1; s <= size+70; s += 2 {
				v, _ = v.without(s)
			}
			return v
		},
	}
	for _, size := range sizes {
		for name, change := range changes {
			old := filled(size)
			want := entries(&old)
			next := change(old, size)
			members(t, &next)
			if !slices.Equal(entries(&old), want) {
				t.Errorf("%s: a version of %d members has changed", name, size)
			}
		}
	}
}

func entries(v *set[int]) (list []entry[int]) {
	for i := range v.len() {
		list = append(list, *v.at(i))
	}
	return list
}

// TestSetEmptied takes everything out again, from both ends and from the middle.
func TestSetEmptied(t *testing.T) {
	for name, order := range map[string]func(v *set[int]) int{
		"first":  func(v *set[int]) int { return v.at(0).subscriber },
		"last":   func(v *set[int]) int { return v.at(v.len() - 1).subscriber },
		"middle": func(v *set[int]) int { return v.at(v.len() / 2).subscriber },
	} {
		v := filled(200)
		for size := 199; size >= 0; size-- {
			v, _ = v.without(order(&v))
			if got := members(t, &v); len(got) != size {
				t.Fatalf("%s removed: %d members, want %d", name, len(got), size)
			}
		}
		if v.pages != nil || v.index != nil {
			t.Errorf("%s removed until empty: %d pages and an index of %d are left", name, cap(v.pages), len(v.index))
		}
	}
}

// TestEntrySize holds the price of a Subscription in a large set.
func TestEntrySize(t *testing.T) {
	want := unsafe.Sizeof((*int)(nil)) + 8
	if got := unsafe.Sizeof(entry[*int]{}); got != want {
		t.Errorf("an entry takes %d bytes, want %d", got, want)
	}
}
