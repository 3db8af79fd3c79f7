package clientapi

import (
	"crypto/rand"
	"html/template"
	"net/http"
	"strings"

	"rempart/core/users"
	"rempart/internal/httpx"
	"rempart/internal/mail"
	"rempart/internal/matrix"
)

// authPage is a page on which a stage of an authentication is done. Token, Password and Email label the fields of a registration token, a
// password and an address.
type authPage struct {
	Lang, Title, Text, Button, Token, Password, Email string
	Links                                             []users.DocumentText
	Done                                              bool
	Nonce                                             string // lets its one script run
}

// authPages adds the pages that clients open for stages which they do not know.
// Spec: client-server-api/#fallback
func authPages(r *httpx.Router, s *users.Service) {
	t := template.Must(template.ParseFS(pageFiles, "pages/auth.html"))
	serve := func(w http.ResponseWriter, req *http.Request, _ matrix.Caller, p httpx.Path) error {
		if err := readForm(w, req); err != nil {
			return err
		}
		show, status, err := authStage(req, s, p.Query().Get("session"), p.Var("authType"))
		if err != nil {
			return err
		}
		show.Lang, show.Nonce = pageHeaders(w, req), rand.Text()
		h := w.Header()
		h.Set("Content-Security-Policy", h.Get("Content-Security-Policy")+"; script-src 'nonce-"+show.Nonce+"'")
		w.WriteHeader(status)
		_ = t.Execute(w, show) // at worst the reader is gone
		return nil
	}
	const path = "/_matrix/client/v3/auth/{authType}/fallback/web"
	route := httpx.Route{Class: "registration", MaxBody: formLimit, R0: true}
	httpx.HandleRaw(r, "GET", path, route, serve)
	httpx.HandleRaw(r, "POST", path, route, serve)
}

// authStage does what a page was asked for, whose form is read, and says what it shows.
func authStage(req *http.Request, s *users.Service, session, stage string) (show authPage, status int, err error) {
	french := mail.French(req.Header.Get("Accept-Language"))
	if req.Method == http.MethodPost {
		err = s.CompletePageStage(req.Context(), session, stage, users.PageAnswer{
			Token: strings.TrimSpace(req.PostFormValue("token")), Password: req.PostFormValue("password"), Email: strings.TrimSpace(req.PostFormValue("email")),
			Host: req.Host, Language: req.Header.Get("Accept-Language"),
		})
	}
	var found users.PageStage
	if err == nil {
		found, err = s.FindPageStage(req.Context(), session, stage)
	}
	if err != nil {
		e := matrix.AsError(err)
		if e.Status >= http.StatusInternalServerError {
			return show, 0, err
		}
		said := errorText(french, e)
		return authPage{Title: said.Title, Text: said.Text}, e.Status, nil
	}
	return stageText(french, stage, found), http.StatusOK, nil
}

// stageText is what the page of a stage says.
func stageText(french bool, stage string, found users.PageStage) authPage {
	say := func(en, fr string) string {
		if french {
			return fr
		}
		return en
	}
	switch {
	case found.Done:
		return authPage{Done: true, Title: say("Done", "C'est fait"),
			Text: say("You can close this page and go on in your application.", "Vous pouvez fermer cette page et continuer dans votre application.")}
	case stage == users.StageToken:
		return authPage{Title: say("Registration token", "Code d'inscription"), Button: say("Go on", "Continuer"),
			Text: say("Enter the token that you were given.", "Saisissez le code qui vous a été remis."), Token: say("Token", "Code")}
	case stage == users.StagePassword:
		return authPage{Title: say("Your password", "Votre mot de passe"), Button: say("Confirm", "Confirmer"), Password: say("Password of ", "Mot de passe de ") + string(found.User),
			Text: say("Your application asks you to confirm what you are doing there. If you began nothing, close this page.",
				"Votre application vous demande de confirmer ce que vous y faites. Si vous n'avez rien commencé, fermez cette page.")}
	case stage == users.StageEmail && found.Sent:
		return authPage{Title: say("Open the letter", "Ouvrez le courriel"), Button: say("I have opened the link", "J'ai ouvert le lien"),
			Text: say("A letter was sent to you. Open the link in it, then come back here.", "Un courriel vous a été envoyé. Ouvrez le lien qu'il contient, puis revenez ici.")}
	case stage == users.StageEmail:
		return authPage{Title: say("Your e-mail address", "Votre adresse électronique"), Button: say("Send the letter", "Envoyer le courriel"), Email: say("Address", "Adresse"),
			Text: say("A letter with a link will be sent to it.", "Un courriel avec un lien y sera envoyé.")}
	case stage == users.StageTerms:
		return authPage{Title: say("Terms", "Conditions d'utilisation"), Button: say("I accept", "J'accepte"),
			Text: say("Read these documents and accept them.", "Lisez ces documents et acceptez-les."), Links: documentLinks(found.Terms, say("en", "fr"))}
	}
	return authPage{Title: say("Go on", "Continuer"), Button: say("Go on", "Continuer"),
		Text: say("Press the button to go on.", "Appuyez sur le bouton pour continuer.")}
}

// documentLinks names each document once, in the language asked for where it is there.
func documentLinks(docs []users.Document, lang string) []users.DocumentText {
	var out []users.DocumentText
	for _, d := range docs {
		if len(d.Texts) == 0 {
			continue
		}
		best := d.Texts[0]
		for _, t := range d.Texts {
			if t.Language == lang {
				best = t
			}
		}
		out = append(out, best)
	}
	return out
}
