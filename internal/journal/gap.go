package journal

import "slices"

// gap is a range of numbers of Deliveries that no entry has named yet.
type gap struct{ first, last uint64 }

// gaps are in ascending order and do not touch. There are few: as many as batches that
// overtook another.
type gaps []gap

// close takes the numbers first to last out, and reports whether any was there.
func (g *gaps) close(first, last uint64) (closed bool) {
	begin, found := slices.BinarySearchFunc(*g, first, func(at gap, number uint64) int {
		switch {
		case at.last < number:
			return -1
		case at.first > number:
			return 1
		}
		return 0
	})
	end := begin
	for end < len(*g) && (*g)[end].first <= last {
		end++
	}
	if begin == end {
		return false
	}
	var rest []gap
	if before := (*g)[begin]; found && before.first < first {
		rest = append(rest, gap{before.first, first - 1})
	}
	if after := (*g)[end-1]; after.last > last {
		rest = append(rest, gap{last + 1, after.last})
	}
	*g = slices.Replace(*g, begin, end, rest...)
	if len(*g) == 0 {
		*g = nil
	}
	return true
}
