package router

import "math/bits"

// set is an immutable collection of entries, one per subscriber: with and without
// return a new version and leave the old one to its readers. The first entry lies
// inline, because most filters have one subscriber; the others lie in pages of 64, so
// that a change in a large set copies two pages and the list of pages, not the set.
type set[S comparable] struct {
	first entry[S]
	pages [][]entry[S]
	size  int
	index map[S]int // position by subscriber, kept by the latest version for its writers; nil while small
}

const (
	pageLength = 64
	indexFrom  = 64
)

func (v *set[S]) len() int { return v.size }

func (v *set[S]) at(i int) *entry[S] {
	if i == 0 {
		return &v.first
	}
	i--
	return &v.pages[i/pageLength][i%pageLength]
}

// find returns the position of s, -1 without one. For writers: it uses the index.
func (v *set[S]) find(s S) int {
	if v.index != nil {
		if i, ok := v.index[s]; ok {
			return i
		}
		return -1
	}
	for i := range v.size {
		if v.at(i).subscriber == s {
			return i
		}
	}
	return -1
}

// with returns v with e in it, in place of the entry of the same subscriber if there
// is one, which existed reports.
func (v set[S]) with(e entry[S]) (next set[S], existed bool) {
	i := v.find(e.subscriber)
	if existed = i >= 0; !existed {
		i = v.size
		v.size++
		if n := v.size - 1; n > len(v.pages)*pageLength {
			v.pages = append(append(make([][]entry[S], 0, len(v.pages)+1), v.pages...), nil)
		}
	}
	v.put(i, e)
	switch {
	case v.index != nil:
		v.index[e.subscriber] = i
	case v.size > indexFrom:
		v.index = make(map[S]int, 2*indexFrom)
		for j := range v.size {
			v.index[v.at(j).subscriber] = j
		}
	}
	return v, existed
}

// without returns v without the entry of s; the last entry takes its place.
func (v set[S]) without(s S) (next set[S], existed bool) {
	i := v.find(s)
	if i < 0 {
		return v, false
	}
	last := *v.at(v.size - 1)
	v.put(v.size-1, entry[S]{})
	if i < v.size-1 {
		v.put(i, last)
	}
	v.size--
	if v.index != nil {
		delete(v.index, s)
		if i < v.size {
			v.index[last.subscriber] = i
		}
		if v.size <= indexFrom/2 {
			v.index = nil
		}
	}
	if n := (v.size + pageLength - 2) / pageLength; n < len(v.pages) {
		v.pages = append([][]entry[S](nil), v.pages[:n]...) // without a reference to the page that is left
	}
	return v, true
}

// put writes e at position i of a version that no reader has seen, copying what it
// shares with the version before.
func (v *set[S]) put(i int, e entry[S]) {
	if i == 0 {
		v.first = e
		return
	}
	i--
	pages := append(make([][]entry[S], 0, len(v.pages)), v.pages...)
	old := pages[i/pageLength]
	page := make([]entry[S], max(len(old), pageRoom(i%pageLength+1)))
	copy(page, old)
	page[i%pageLength] = e
	pages[i/pageLength] = page
	v.pages = pages
}

// pageRoom returns the length of a page that holds n entries: the next power of two.
func pageRoom(n int) int { return 1 << bits.Len(uint(n-1)) }
