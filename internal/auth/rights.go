package auth

import (
	"errors"
	"fmt"
	"strings"

	"github.com/colibri-mqtt/colibri/internal/acl"
	"github.com/colibri-mqtt/colibri/topic"
)

// Most rights of one client, and the bytes of one.
const (
	maxRights     = 1000
	maxRightBytes = 1024
)

// NewRights returns the rights of one client, as its token or a server that was asked says, for
// broker.ConnectRequest.Rights. It checks the filters and puts userName and clientID in the
// place of %u and %c. A filter whose %u or %c would be more than one level, or a wildcard,
// permits nothing and is left out. It returns nil, for no rights of its own, when both lists are
// nil. source says to people where they come from; it is no secret.
func NewRights(source string, publish, subscribe []string, userName, clientID string) (*acl.Rules, error) {
	if publish == nil && subscribe == nil {
		return nil, nil
	}
	rules := &acl.Rules{Source: source}
	var err error
	if rules.Publish, err = filters(publish, userName, clientID); err == nil {
		rules.Subscribe, err = filters(subscribe, userName, clientID)
	}
	if err != nil {
		return nil, err
	}
	return rules, nil
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
// begins nothing of the Server's own, and is no mark itself, which acl.Rules would replace.
func narrow(filter, mark, value string) bool {
	return !strings.Contains(filter, mark) || value != "" && value[0] != '$' && !strings.ContainsAny(value, "+#/%")
}
