package clientapi

import (
	"html/template"
	"net/http"
	"strings"

	"rempart/internal/httpx"
	"rempart/internal/mail"
	"rempart/internal/matrix"
)

// home is what people see who open the server's address in a browser. Address and Help may be empty.
type home struct {
	Lang, Server, Address, Help string
	// Open says that anybody may make an account.
	Open bool
}

// homePage tells people what this address is for. Programs, which do not ask for HTML, get the same answer as on any
// other path that nobody serves.
func homePage(r *httpx.Router, d Deps) {
	t := template.Must(template.ParseFS(pageFiles, "pages/home.html"))
	httpx.HandleRaw(r, "GET", "/", httpx.Route{}, func(w http.ResponseWriter, req *http.Request, _ matrix.Caller, _ httpx.Path) error {
		if !strings.Contains(req.Header.Get("Accept"), "text/html") {
			return matrix.Unrecognized()
		}
		_, server := d.Users.Tenant(httpx.Host(req.Context()))
		lang := pageHeaders(w, req)
		_ = t.Execute(w, home{lang, string(server), d.BaseURL, d.Support.Page, d.Users.RegistrationOpen()}) // at worst the reader is gone
		return nil
	})
}

// pageHeaders keeps a page from loading, being framed by or telling anything to others, and chooses its language.
func pageHeaders(w http.ResponseWriter, req *http.Request) (lang string) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Del("Access-Control-Allow-Origin") // no other site has business here
	if mail.French(req.Header.Get("Accept-Language")) {
		return "fr"
	}
	return "en"
}
