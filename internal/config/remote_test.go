package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRemoteOptions(t *testing.T) {
	got, err := readText("colibri_auth_order ldap, jwt\ncolibri_jwt_key k.pem\ncolibri_jwt_secret s\ncolibri_jwt_jwks https://id.example/keys\n" +
		"colibri_jwt_jwks_refresh 60\ncolibri_jwt_cafile a.crt\ncolibri_jwt_in username\ncolibri_jwt_issuer me\ncolibri_jwt_audience mqtt\n" +
		"colibri_jwt_user_claim name\ncolibri_jwt_client_claim cid\ncolibri_jwt_publish_claim pub\ncolibri_jwt_subscribe_claim sub\n" +
		"colibri_jwt_leeway 0\ncolibri_jwt_require_exp false\n" +
		"colibri_http_auth https://who.example/mqtt\ncolibri_http_cafile b.crt\ncolibri_http_token_file t\ncolibri_http_timeout 1\ncolibri_http_at_once 2\n" +
		"colibri_http_waiting 3\ncolibri_http_cache_time 4\ncolibri_http_cache_size 5\ncolibri_http_faults 6\ncolibri_http_pause 7\n" +
		"colibri_ldap_url ldap://dir.example\ncolibri_ldap_starttls true\ncolibri_ldap_cafile c.crt\ncolibri_ldap_search_base ou=a\n" +
		"colibri_ldap_search_filter (uid=%u)\ncolibri_ldap_search_dn cn=b\ncolibri_ldap_search_password_file p\ncolibri_ldap_user_attribute uid\n" +
		"colibri_ldap_timeout 8\ncolibri_ldap_at_once 9\ncolibri_ldap_waiting 10\n")
	if err != nil {
		t.Fatal(err)
	}
	want := Remote{
		Order: []string{"ldap", "jwt", "certificate", "password", "http"},
		Token: Token{"k.pem", "s", "https://id.example/keys", "a.crt", time.Minute, true, "me", "mqtt", "name", "cid", "pub", "sub", 0, false},
		HTTP:  HTTP{"https://who.example/mqtt", "b.crt", "t", time.Second, 2, 3, 4 * time.Second, 5, 6, 7 * time.Second},
		LDAP:  LDAP{"ldap://dir.example", true, "c.crt", "", "ou=a", "(uid=%u)", "cn=b", "p", "uid", 8 * time.Second, 9, 10},
	}
	if diff := cmp.Diff(want, got.Remote); diff != "" || got.Warnings != nil {
		t.Errorf("want (-), got (+), with the warnings %v:\n%s", got.Warnings, diff)
	}
}

func TestRemoteMistakes(t *testing.T) {
	const bind = "colibri_ldap_bind_dn uid=%u,dc=a\n"
	for _, test := range []struct{ text, want string }{
		{"colibri_auth_order jwt password_file", "a.conf:1: 'password_file' is none of certificate, jwt, password, http or ldap"},
		{"colibri_auth_order jwt,jwt", "'jwt' stands there twice"},
		{"colibri_jwt_jwks http://hush@id.example/keys", "write an https URL"},
		{"colibri_jwt_jwks ftp://hush", "needs a URL; write one as in https://HOST/"},
		{"colibri_jwt_in token", "'token' is none of password or username"},
		{"colibri_jwt_issuer me", "add colibri_jwt_key, colibri_jwt_secret or colibri_jwt_jwks"},
		{"colibri_http_auth who.example/hush", "'colibri_http_auth' needs a URL; write one as in https://HOST/"},
		{"colibri_http_auth https://", "needs a URL"},
		{"colibri_http_auth https://me:hush@h:x/", "needs a URL"},
		{"colibri_http_timeout 0", "a number from 1 to 86400"},
		{"colibri_http_cafile a", "add colibri_http_auth"},
		{bind, "add colibri_ldap_url"},
		{"colibri_ldap_url https://dir", "as in ldaps://HOST/"},
		{"colibri_ldap_url ldaps://dir", "needs either colibri_ldap_bind_dn"},
		{"colibri_ldap_url ldaps://dir\ncolibri_ldap_search_base a\n" + bind, "needs either colibri_ldap_bind_dn"},
		{"colibri_ldap_url ldaps://dir\ncolibri_ldap_bind_dn uid=u", "has no %u"},
		{"colibri_ldap_url ldaps://dir\ncolibri_ldap_search_base dc=a", "with %u in it, as in (uid=%u)"},
		{"colibri_ldap_url ldaps://dir\ncolibri_ldap_user_attribute uid\n" + bind, "nobody is searched for"},
		{"colibri_ldap_url ldaps://dir\ncolibri_ldap_search_base dc=a\ncolibri_ldap_search_filter (uid=%u)\ncolibri_ldap_search_dn cn=b", "belong together"},
		{"colibri_ldap_url ldaps://dir\ncolibri_ldap_starttls true\n" + bind, "has TLS already"},
	} {
		_, err := readText(test.text)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%q: got %v, want %q", test.text, err, test.want)
		}
	}
	for text, want := range map[string]int{
		"colibri_http_auth http://who.example/":                                        1,
		"colibri_http_auth http://localhost:8080/":                                     0,
		"colibri_http_auth http://[::1]/\ncolibri_jwt_jwks http://127.0.0.1/":          0,
		"colibri_ldap_url ldap://dir\n" + bind:                                         1,
		"colibri_ldap_url ldap://127.0.0.1:389\n" + bind:                               0,
		"colibri_ldap_url ldap://dir\ncolibri_ldap_starttls true\n" + bind:             0,
		"colibri_ldap_url ldaps://dir\ncolibri_http_auth https://who.example\n" + bind: 0,
	} {
		c, err := readText(text)
		if err != nil || len(c.Warnings) != want {
			t.Errorf("%q: got %v, want %d warnings", text, err, want)
		}
	}
}
