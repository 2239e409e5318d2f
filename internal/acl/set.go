package acl

import "slices"

// Set is all rules of a broker. The zero value allows what nobody is refused. It must not
// change once Rights has been called.
type Set struct {
	File  *File  // nil without one
	Model *Model // nil without one; it is asked before File
}

// everything are the Rights of a client that no rules are about.
var everything = func() *Rights {
	r := &Rights{}
	rule := &Rule{Text: "there are no rules"}
	for a := range r.otherwise {
		r.otherwise[a] = Decision{true, rule}
	}
	return r
}()

// Rights returns what c may do. The rules that came with the client, own, which is nil for a
// client without, decide alone. Else the roles decide, and where none of their rules speaks
// and their default access does not allow it, the ACL file does, as in Mosquitto with both.
func (s *Set) Rights(c Client, own *Rules) *Rights {
	switch {
	case own != nil:
		return own.Rights(c)
	case s == nil:
		return everything
	case s.File != nil && s.Model != nil:
		return s.Model.Rights(c).orElse(s.File.Rights(c))
	case s.File != nil:
		return s.File.Rights(c)
	case s.Model != nil:
		return s.Model.Rights(c)
	}
	return everything
}

// orElse returns Rights that ask r first, and other about what r denies only because no rule
// of it speaks of it. A client that r has shut out stays so.
func (r *Rights) orElse(other *Rights) *Rights {
	if r.shut {
		return r
	}
	both := &Rights{}
	for a := range r.lists {
		both.lists[a], both.otherwise[a] = r.lists[a], r.otherwise[a]
		if !r.otherwise[a].Allowed {
			both.lists[a] = append(slices.Clip(r.lists[a]), other.lists[a]...)
			both.otherwise[a] = other.otherwise[a]
		}
	}
	return both
}
