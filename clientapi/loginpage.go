package clientapi

import (
	"crypto/rand"
	"html/template"
	"net/http"

	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// loginPage is a page on which somebody logs in whose application knows no way to.
type loginPage struct {
	Lang, Title, User, Password, Button, Done, Failed, NoScript string
	Nonce                                                       string // lets its one script run
	// Params go into the request to log in, beside what is entered.
	Params map[string]any
}

// loginPages adds the page that does a whole log-in and hands its answer to the application that shows the page.
// Spec: client-server-api/#login-fallback
func loginPages(r *httpx.Router) {
	t := template.Must(template.ParseFS(pageFiles, "pages/login.html"))
	httpx.HandleRaw(r, "GET", "/_matrix/static/client/login/", httpx.Route{Class: "registration"},
		func(w http.ResponseWriter, req *http.Request, _ matrix.Caller, p httpx.Path) error {
			show := loginText(pageHeaders(w, req) == "fr")
			show.Nonce, show.Params = rand.Text(), map[string]any{}
			for _, name := range []string{"device_id", "initial_device_display_name"} { // Why these: the others are what is entered
				if v := p.Query().Get(name); v != "" {
					show.Params[name] = v
				}
			}
			if p.Query().Get("refresh_token") == "true" {
				show.Params["refresh_token"] = true
			}
			h := w.Header()
			h.Set("Content-Security-Policy", h.Get("Content-Security-Policy")+"; connect-src 'self'; script-src 'nonce-"+show.Nonce+"'")
			return t.Execute(w, show)
		})
}

func loginText(french bool) loginPage {
	if french {
		return loginPage{Lang: "fr", Title: "Connexion", User: "Nom", Password: "Mot de passe", Button: "Se connecter", Done: "Vous êtes connecté.",
			Failed: "Le serveur ne répond pas. Réessayez.", NoScript: "Cette page a besoin de JavaScript."}
	}
	return loginPage{Lang: "en", Title: "Sign in", User: "Name", Password: "Password", Button: "Sign in", Done: "You are signed in.",
		Failed: "The server does not answer. Try again.", NoScript: "This page needs JavaScript."}
}
