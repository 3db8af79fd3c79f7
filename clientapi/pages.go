package clientapi

import (
	"embed"
	"html/template"
	"net/http"
	"time"

	"rempart/core/users"
	"rempart/internal/httpx"
	"rempart/internal/mail"
	"rempart/internal/matrix"
)

//go:embed pages
var pageFiles embed.FS

// pageText is what a page says, in one language. Password and Again label the two fields of a new password.
type pageText struct {
	Title, Text, Button string
	Password, Again     string
}

// page is a page to be shown.
type page struct {
	pageText
	Lang, Token string
}

// Bounds of a form: its bytes, and how long it may take to arrive.
const (
	formLimit = 8 << 10
	formTime  = time.Minute
)

// accountPages adds the pages that letters lead to. Reading one changes nothing, since programs that look for evil links
// open them too: only its button does.
func accountPages(r *httpx.Router, s *users.Service) {
	t := template.Must(template.ParseFS(pageFiles, "pages/page.html"))
	formPage(r, t, "confirm", func(req *http.Request, french bool) (pageText, error) {
		if req.Method == http.MethodGet {
			return confirmText(french), nil
		}
		_, err := s.ConfirmEmail(req.Context(), req.PostFormValue("token"))
		return doneText(french), err
	})
	formPage(r, t, "activate", func(req *http.Request, french bool) (pageText, error) {
		if req.Method == http.MethodGet {
			a, err := s.FindActivation(req.Context(), req.URL.Query().Get("token"))
			return activateText(french, a.User), err
		}
		if req.PostFormValue("password") != req.PostFormValue("again") {
			return pageText{}, matrix.InvalidParam("The two passwords differ. Go back and try again.").
				French("Les deux mots de passe diffèrent. Revenez en arrière et recommencez.")
		}
		id, err := s.Activate(req.Context(), req.PostFormValue("token"), req.PostFormValue("password"))
		return activatedText(french, id), err
	})
	formPage(r, t, "renew", func(req *http.Request, french bool) (pageText, error) {
		if req.Method == http.MethodGet {
			return renewText(french), nil
		}
		_, until, err := s.RenewByLink(req.Context(), req.PostFormValue("token"))
		return renewedText(french, until), err
	})
}

// formPage adds a page with its form. act says what to show; an error is shown as a page too.
func formPage(r *httpx.Router, t *template.Template, name string, act func(req *http.Request, french bool) (pageText, error)) {
	serve := func(w http.ResponseWriter, req *http.Request, _ matrix.Caller, p httpx.Path) error {
		french := mail.French(req.Header.Get("Accept-Language"))
		if err := readForm(w, req); err != nil {
			return err
		}
		text, err := act(req, french)
		status := http.StatusOK
		if err != nil {
			e := matrix.AsError(err)
			if status = e.Status; status >= http.StatusInternalServerError {
				return err
			}
			text = errorText(french, e)
		}
		lang := pageHeaders(w, req)
		w.WriteHeader(status)
		_ = t.Execute(w, page{text, lang, p.Query().Get("token")}) // at worst the reader is gone
		return nil
	}
	route := httpx.Route{Class: "registration", MaxBody: formLimit}
	httpx.HandleRaw(r, "GET", "/_rempart/account/"+name, route, serve)
	httpx.HandleRaw(r, "POST", "/_rempart/account/"+name, route, serve)
}

// readForm reads a form, which has so long to arrive.
// Why a deadline: whoever sends a byte now and then would hold a connection for ever.
func readForm(w http.ResponseWriter, req *http.Request) error {
	conn := http.NewResponseController(w)
	if conn.SetReadDeadline(time.Now().Add(formTime)) == nil {
		defer func() { _ = conn.SetReadDeadline(time.Time{}) }()
	}
	if err := req.ParseForm(); err != nil {
		return matrix.InvalidParam("The form cannot be read.").Wrap(err)
	}
	return nil
}

func confirmText(french bool) pageText {
	if french {
		return pageText{Title: "Confirmer l'adresse", Text: "Cette adresse est-elle bien la vôtre ?", Button: "Confirmer"}
	}
	return pageText{Title: "Confirm the address", Text: "Is this e-mail address yours?", Button: "Confirm"}
}

func doneText(french bool) pageText {
	if french {
		return pageText{Title: "Adresse confirmée", Text: "Vous pouvez fermer cette page et continuer dans votre application."}
	}
	return pageText{Title: "Address confirmed", Text: "You can close this page and go on in your application."}
}

func activateText(french bool, id matrix.UserID) pageText {
	if french {
		return pageText{Title: "Choisir un mot de passe", Text: "Votre identifiant : " + string(id), Button: "Enregistrer",
			Password: "Mot de passe", Again: "Encore une fois"}
	}
	return pageText{Title: "Choose a password", Text: "Your name: " + string(id), Button: "Save", Password: "Password", Again: "Once more"}
}

func activatedText(french bool, id matrix.UserID) pageText {
	if french {
		return pageText{Title: "Mot de passe enregistré", Text: "Vous pouvez vous connecter : " + string(id)}
	}
	return pageText{Title: "Password saved", Text: "You can sign in as " + string(id)}
}

func renewText(french bool) pageText {
	if french {
		return pageText{Title: "Conserver le compte", Text: "Voulez-vous conserver votre compte ?", Button: "Conserver"}
	}
	return pageText{Title: "Keep the account", Text: "Do you want to keep your account?", Button: "Keep"}
}

func renewedText(french bool, until time.Time) pageText {
	if french {
		return pageText{Title: "Compte conservé", Text: "Votre compte est valable jusqu'au " + until.Format("02/01/2006") + "."}
	}
	return pageText{Title: "Account kept", Text: "Your account is valid until " + until.Format("2 January 2006") + "."}
}

func errorText(french bool, e *matrix.Error) pageText {
	switch {
	case french && e.MessageFR != "":
		return pageText{Title: "Impossible", Text: e.MessageFR}
	case french:
		return pageText{Title: "Impossible", Text: e.Message}
	}
	return pageText{Title: "That did not work", Text: e.Message}
}
