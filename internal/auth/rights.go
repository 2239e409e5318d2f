package auth

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/colibri-mqtt/colibri/topic"
)

// Rights is what one client may do, as its token or a server that was asked says. They decide
// alone: what they do not name is forbidden. It never changes.
type Rights struct {
	Publish   []string // filters of the topics that it may publish to
	Subscribe []string // filters that it may subscribe to, or to any part of
}

// Most rights of one client, and the bytes of one.
const (
	maxRights     = 1000
	maxRightBytes = 1024
)

// NewRights checks the filters and puts userName and clientID in the place of %u and %c. A
// filter whose %u or %c would be more than one level, or a wildcard, permits nothing and is left
// out. It returns nil, for no
// Rights of its own, when both lists are nil.
func NewRights(publish, subscribe []string, userName, clientID string) (*Rights, error) {
	if publish == nil && subscribe == nil {
		return nil, nil
	}
	r := &Rights{}
	var err error
	if r.Publish, err = filters(publish, userName, clientID); err == nil {
		r.Subscribe, err = filters(subscribe, userName, clientID)
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// filters returns the list with what stands for %u and %c.
func filters(list []string, userName, clientID string) ([]string, error) {
	if len(list) > maxRights {
		return nil, fmt.Errorf("it has %d filters, and %d are possible", len(list), maxRights)
	}
	var result []string
	for _, filter := range list {
		if !narrow(filter, "%u", userName) || !narrow(filter, "%c", clientID) {
			continue
		}
		filter = strings.NewReplacer("%u", userName, "%c", clientID).Replace(filter)
		if len(filter) > maxRightBytes || topic.CheckFilter(filter) != nil {
			return nil, errors.New("one of its filters is not a Topic Filter")
		}
		result = append(result, filter)
	}
	return result, nil
}

// narrow reports whether value may stand in the place of mark: it is one level, no wildcard,
// and begins nothing of the Server's own.
func narrow(filter, mark, value string) bool {
	return !strings.Contains(filter, mark) || value != "" && value[0] != '$' && !strings.ContainsAny(value, "+#/")
}

// MayPublish reports whether these rights permit a message on a topic.
func (r *Rights) MayPublish(name string) bool {
	return slices.ContainsFunc(r.Publish, func(right string) bool { return topic.Match(right, name) })
}

// MaySubscribe reports whether these rights permit a Subscription: all that its filter
// matches must be matched by one of the rights.
func (r *Rights) MaySubscribe(filter string) bool {
	if _, inner, ok := topic.SplitShared(filter); ok {
		filter = inner
	}
	return slices.ContainsFunc(r.Subscribe, func(right string) bool { return covers(right, filter) })
}

// covers reports whether right matches everything that filter does.
func covers(right, filter string) bool {
	if strings.HasPrefix(filter, "$") && !strings.HasPrefix(right, "$") {
		return false
	}
	for {
		a, right2, more := strings.Cut(right, "/")
		b, filter2, further := strings.Cut(filter, "/")
		switch {
		case a == "#":
			return true
		case b == "#", a != "+" && a != b:
			return false
		case !further:
			return !more || right2 == "#"
		case !more:
			return false
		}
		right, filter = right2, filter2
	}
}
