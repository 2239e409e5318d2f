// Package token lets clients in by a JSON Web Token (RFC 7519) in the place of a password.
package token

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/auth"
)

// maxTokenBytes is how long a token may be.
const maxTokenBytes = 16 << 10

// Config says which tokens are believed. Of a claim, an empty name means that it is not
// looked at.
type Config struct {
	Keys       *Keys
	InUserName bool   // the token comes as the User Name, not as the Password
	Issuer     string // what iss must be; empty for anything
	Audience   string // what aud must hold; empty for anything

	UserClaim      string // becomes the User Name; a token without it is refused
	ClientClaim    string // must be the Client Identifier, or becomes it when the client has chosen none
	PublishClaim   string // lists filters of topics for acl.Rules; nothing is permitted without it
	SubscribeClaim string // lists filters for acl.Rules; nothing is permitted without it

	Leeway  time.Duration // how far the clocks may be apart
	Forever bool          // a token may have no exp
}

// Checker checks tokens. It is an auth.Checker.
type Checker struct {
	config Config
	parser *jwt.Parser
}

// New returns a Checker.
func New(c Config) *Checker {
	options := []jwt.ParserOption{jwt.WithLeeway(c.Leeway), jwt.WithIssuedAt(), jwt.WithStrictDecoding()}
	if c.Issuer != "" {
		options = append(options, jwt.WithIssuer(c.Issuer))
	}
	if c.Audience != "" {
		options = append(options, jwt.WithAudience(c.Audience))
	}
	if !c.Forever {
		options = append(options, jwt.WithExpirationRequired())
	}
	return &Checker{config: c, parser: jwt.NewParser(options...)}
}

// Name is auth.Checker's.
func (*Checker) Name() string { return "jwt" }

// Check passes about clients that bring no token. A token that is not right denies, and so does
// one whose key cannot be had, with a *auth.Fault: nobody else is asked about it.
func (c *Checker) Check(ctx context.Context, r *broker.ConnectRequest) (auth.Verdict, error) {
	text := string(r.Password)
	if c.config.InUserName {
		text = r.UserName
	}
	head, ok := header(text)
	if !ok {
		return auth.Pass, nil
	}
	if c.config.InUserName {
		r.UserName = "" // no event may show the token, whatever becomes of it
	}
	if len(text) > maxTokenBytes {
		return refuse("the token is too long")
	}
	if head.Critical != nil { // RFC 7515 section 4.1.11: what is critical must be understood
		return refuse("the token needs an extension that this Server does not have")
	}
	keys, err := c.config.Keys.fitting(ctx, head.Algorithm, head.ID)
	if err != nil { // it is a token all the same, and no password that others should compare
		return auth.Deny, err
	}
	if len(keys) == 0 {
		return refuse("the token is signed with a key or an algorithm that this Server does not know")
	}
	claims := jwt.MapClaims{}
	_, err = c.parser.ParseWithClaims(text, claims, func(t *jwt.Token) (any, error) {
		if t.Method.Alg() != head.Algorithm { // the keys were chosen by what we have read
			return nil, errors.New("the algorithm has two values")
		}
		set := jwt.VerificationKeySet{}
		for _, k := range keys {
			set.Keys = append(set.Keys, k.material)
		}
		return set, nil
	})
	if err != nil {
		return refuse(why(err))
	}
	return c.admit(r, claims)
}

// head is what chooses the keys of a token.
type head struct {
	Algorithm string          `json:"alg"`
	ID        string          `json:"kid"`
	Critical  json.RawMessage `json:"crit"`
}

// header returns the header of a token. ok is false for what is no token, such as a password.
func header(text string) (h head, ok bool) {
	if strings.Count(text, ".") != 2 {
		return h, false
	}
	first, _, _ := strings.Cut(text, ".")
	b, err := base64.RawURLEncoding.DecodeString(first)
	if err != nil || json.Unmarshal(b, &h) != nil || h.Algorithm == "" {
		return h, false
	}
	return h, true
}

// why says what is wrong with a token, in words that hold nothing of it.
func why(err error) string {
	for _, known := range []struct {
		err  error
		text string
	}{
		{jwt.ErrTokenMalformed, "the token cannot be read"},
		{jwt.ErrTokenUnverifiable, "the token is signed with an algorithm that this Server does not know"},
		{jwt.ErrTokenSignatureInvalid, "the signature of the token is wrong"},
		{jwt.ErrTokenExpired, "the token has expired"},
		{jwt.ErrTokenNotValidYet, "the token is not valid yet"},
		{jwt.ErrTokenUsedBeforeIssued, "the token is from the future"},
		{jwt.ErrTokenInvalidIssuer, "the token is from another issuer"},
		{jwt.ErrTokenInvalidAudience, "the token is for another audience"},
		{jwt.ErrTokenRequiredClaimMissing, "the token lacks exp, iss or aud, which this Server requires"},
	} {
		if errors.Is(err, known.err) {
			return known.text
		}
	}
	return "the token is not valid"
}

// admit takes what the claims say into r.
func (c *Checker) admit(r *broker.ConnectRequest, claims jwt.MapClaims) (auth.Verdict, error) {
	userName, clientID := r.UserName, r.ClientID
	if name := c.config.UserClaim; name != "" {
		if userName, _ = claims[name].(string); !legal(userName) {
			return refuse("the token lacks the claim with the User Name")
		}
	}
	if name := c.config.ClientClaim; name != "" {
		clientID, _ = claims[name].(string)
		switch {
		case !legal(clientID):
			return refuse("the token lacks the claim with the Client Identifier")
		case clientID != r.ClientID && !r.Assigned:
			return refuse("the token is for another Client Identifier")
		}
	}
	publish, ok := list(claims, c.config.PublishClaim)
	subscribe, ok2 := list(claims, c.config.SubscribeClaim)
	if !ok || !ok2 {
		return refuse("the claim of the token with the topics is not a list of filters")
	}
	rights, err := auth.NewRights("the token", publish, subscribe, userName, clientID)
	if err != nil {
		return refuse("the claim of the token with the topics cannot be used: " + err.Error())
	}
	r.UserName, r.ClientID, r.HasUserName = userName, clientID, userName != ""
	if rights != nil {
		r.Rights = rights
	}
	if expires, err := claims.GetExpirationTime(); err == nil && expires != nil {
		r.Expires = expires.Add(c.config.Leeway)
	}
	return auth.Allow, nil
}

// legal reports whether text may be a User Name or a Client Identifier of MQTT.
func legal(text string) bool {
	return text != "" && len(text) <= 65_535 && !strings.ContainsRune(text, 0)
}

// list returns the strings of a claim: a list of them, or one. It is nil when the claim has no
// name, and empty when the token lacks it.
func list(claims jwt.MapClaims, name string) (texts []string, ok bool) {
	if name == "" {
		return nil, true
	}
	switch value := claims[name].(type) {
	case nil:
		return []string{}, true
	case string:
		return []string{value}, true
	case []any:
		texts = make([]string, 0, len(value))
		for _, v := range value {
			text, ok := v.(string)
			if !ok {
				return nil, false
			}
			texts = append(texts, text)
		}
		return texts, true
	}
	return nil, false
}

// refuse denies with a reason that the client may read.
func refuse(reason string) (auth.Verdict, error) {
	return auth.Deny, &colibri.Error{Op: "CONNECT", Code: colibri.NotAuthorized, Err: errors.New(reason)}
}
