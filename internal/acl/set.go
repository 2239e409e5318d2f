package acl

// Set is all rules of a broker. The zero value allows what nobody is refused. It must not
// change once Rights has been called.
type Set struct {
	File  *File  // nil without one
	Model *Model // nil without one
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

// Rights returns what c may do. One source of rules decides: those that came with the
// client, own, which is nil for a client without, or else the ACL file, or else the roles.
func (s *Set) Rights(c Client, own *Rules) *Rights {
	switch {
	case own != nil:
		return own.Rights(c)
	case s == nil:
		return everything
	case s.File != nil:
		return s.File.Rights(c)
	case s.Model != nil:
		return s.Model.Rights(c)
	}
	return everything
}
