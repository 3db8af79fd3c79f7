package policy

import (
	"strings"

	"rempart/internal/matrix"
	"rempart/policy/territory"
)

// words is what a refused person is told, in English and French. {who} is the server or host.
type words struct{ en, fr string }

// Rules lists every rule by which something is refused, with its words.
func rulesInWords() map[string]words {
	return map[string]words{
		RulePoint:          {"This server does not do that: no rule admits it.", "Ce serveur ne fait pas cela : aucune règle ne l'autorise."},
		RuleDenyServer:     {"{who} is denied by this server's policy.", "{who} est interdit par la politique de ce serveur."},
		RulePartner:        {"This server does not talk to {who}: it is not a partner (federation.allow, or partners in the policy file).", "Ce serveur ne dialogue pas avec {who} : ce n'est pas un partenaire (federation.allow, ou partners dans la politique)."},
		RulePartnerOver:    {"The agreement with {who} is over, or has not begun.", "L'accord avec {who} est échu, ou n'a pas commencé."},
		RulePartnerData:    {"This kind of data is not exchanged with {who}.", "Ce genre de données n'est pas échangé avec {who}."},
		RulePartnerPlace:   {"The address {who} names is not one that was agreed upon.", "L'adresse que {who} indique n'est pas convenue avec ce partenaire."},
		RulePartnerNetwork: {"{who} is not in a network that was agreed upon.", "{who} n'est pas dans un réseau convenu avec ce partenaire."},
		RuleHost:           {"This server does not connect to {who} for this purpose (push.allow or previews.allow, or outside in the policy file).", "Ce serveur ne se connecte pas à {who} à cette fin (push.allow ou previews.allow, ou outside dans la politique)."},
		RulePrivate:        {"The address of {who} is not a public one; allow_private, or territory.internal in the policy file, would admit it.", "L'adresse de {who} n'est pas publique ; allow_private, ou territory.internal dans la politique, l'autoriserait."},

		territory.RuleSpecial:       {"The address of {who} is none where a server can be.", "L'adresse de {who} n'est pas celle d'un serveur possible."},
		territory.RuleDenied:        {"The network of {who} is denied by this server's policy.", "Le réseau de {who} est interdit par la politique de ce serveur."},
		territory.RuleContradiction: {"A database contradicts where {who} is said to be.", "Une base de données contredit l'emplacement déclaré de {who}."},
		territory.RuleNoData:        {"It cannot be told where {who} is: the data about addresses is missing or too old.", "Impossible de dire où se trouve {who} : les données d'adresses manquent ou sont trop anciennes."},
		territory.RuleAnycast:       {"{who} is at many places at once.", "{who} se trouve en plusieurs lieux à la fois."},
		territory.RuleOutside:       {"{who} is outside the territory that this server's policy admits.", "{who} est hors du territoire que la politique de ce serveur autorise."},
		territory.RuleUnknown:       {"Not all databases know where {who} is.", "Toutes les bases de données ne savent pas où se trouve {who}."},
		territory.RuleOperator:      {"It is not known who runs the network of {who}.", "On ne sait pas qui exploite le réseau de {who}."},

		territory.RuleClass + territory.Extraterritorial: {"The operator of {who} is subject to a law that reaches beyond its country.", "L'opérateur de {who} relève d'un droit extraterritorial."},
		territory.RuleClass + territory.Other:            {"The operator of {who} is of a class that is refused.", "L'opérateur de {who} est d'une classe refusée."},
		territory.RuleClass + territory.European:         {"The operator of {who} is of a class that is refused.", "L'opérateur de {who} est d'une classe refusée."},
		territory.RuleClass + territory.National:         {"The operator of {who} is of a class that is refused.", "L'opérateur de {who} est d'une classe refusée."},
		territory.RuleClass + territory.Qualified:        {"The operator of {who} is of a class that is refused.", "L'opérateur de {who} est d'une classe refusée."},
	}
}

// who is the other side as people know it. Why not the address: a refusal tells nobody where others are.
func (f *Facts) who() string {
	switch {
	case f.Server != "":
		return string(f.Server)
	case f.Host != "":
		return f.Host
	}
	return "that server"
}

// Words says why a decision refuses, in English and French.
func (d *Decision) Words(f *Facts) (en, fr string) {
	w, ok := rulesInWords()[d.Rule]
	if !ok {
		w = words{"This server's policy refuses it.", "La politique de ce serveur le refuse."}
	}
	return strings.ReplaceAll(w.en, "{who}", f.who()), strings.ReplaceAll(w.fr, "{who}", f.who())
}

// Err is what a refused person gets: M_FORBIDDEN with both texts and the id of the decision, by which an administrator finds
// all of it.
func (d *Decision) Err(f *Facts, id string) *matrix.Error {
	en, fr := d.Words(f)
	e := matrix.Forbidden(en)
	e.MessageFR = fr
	e.Extra = map[string]any{"fr.rempart.reason": map[string]any{"code": d.Rule, "text_en": en, "text_fr": fr, "decision_id": id}}
	return e
}
