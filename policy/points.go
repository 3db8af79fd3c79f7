package policy

// Point is a place in the code where the policy is asked.
type Point string

// The decision points.
const (
	FedDial      Point = "fed.dial"
	FedResolve   Point = "fed.resolve"
	FedAccept    Point = "fed.in.accept"
	FedInQuery   Point = "fed.in.query"
	FedOutEDU    Point = "fed.out.edu"
	FedInEDU     Point = "fed.in.edu"
	MediaRemote  Point = "media.redirect"
	MediaPreview Point = "media.preview"
	MediaScan    Point = "media.scan"
	PushRegister Point = "push.register"
	PushSend     Point = "push.send"
	ServiceSend  Point = "as.send"
	NotifyMail   Point = "notify.mail"
	StoreOpen    Point = "store.open"
	RTCMedia     Point = "rtc.media"
	RTCToken     Point = "rtc.token"
	RTCICE       Point = "rtc.ice"
	InfraDNS     Point = "infra.dns"
	IdentityAsk  Point = "identity.ask"
	RoomJoin     Point = "room.join"
	RoomInvite   Point = "room.invite"
	RoomClosure  Point = "room.closure"
)

// PointInfo describes a decision point.
type PointInfo struct {
	Point Point
	// Partner reports that the other side is a Matrix server, which must be a partner; else it is a host.
	Partner bool
	EN, FR  string
}

// Points is the registry: every point that is asked, in the order of documents. What is not in it is refused.
func Points() []PointInfo {
	return []PointInfo{
		{FedDial, true, "connect to another server", "se connecter à un autre serveur"},
		{FedResolve, true, "look up where another server is", "chercher où se trouve un autre serveur"},
		{FedAccept, true, "answer a request of another server", "répondre à la requête d'un autre serveur"},
		{FedInQuery, true, "answer another server's question about people, devices, files or the directory", "répondre à la question d'un autre serveur sur des personnes, des appareils, des fichiers ou l'annuaire"},
		{FedOutEDU, true, "tell another server who is present, types or has read", "dire à un autre serveur qui est présent, écrit ou a lu"},
		{FedInEDU, true, "hear of presence, typing and receipts from another server", "apprendre d'un autre serveur qui est présent, écrit ou a lu"},
		{MediaRemote, true, "fetch a file that another server keeps elsewhere", "chercher un fichier qu'un autre serveur garde ailleurs"},
		{RoomJoin, true, "enter a room in which a server takes part", "entrer dans un salon auquel un serveur participe"},
		{RoomInvite, true, "invite a user of another server", "inviter un utilisateur d'un autre serveur"},
		{RoomClosure, true, "write into a room in which a server takes part", "écrire dans un salon auquel un serveur participe"},
		{RTCToken, true, "let a user of another server into a call", "laisser un utilisateur d'un autre serveur entrer dans un appel"},
		{MediaPreview, false, "read a web page for a preview", "lire une page web pour un aperçu"},
		{MediaScan, false, "hand a file to the virus scanner", "confier un fichier à l'antivirus"},
		{PushRegister, false, "let a user name a push gateway", "laisser un utilisateur désigner une passerelle de notification"},
		{PushSend, false, "notify by a push gateway", "notifier par une passerelle"},
		{ServiceSend, false, "tell an application service what it follows", "informer un service applicatif"},
		{NotifyMail, false, "send a letter by the mail server", "envoyer un courriel"},
		{StoreOpen, false, "connect to the database", "se connecter à la base de données"},
		{RTCMedia, false, "reach the media server of calls", "joindre le serveur média des appels"},
		{RTCICE, false, "send the media of a call to an address", "envoyer le média d'un appel à une adresse"},
		{InfraDNS, false, "ask a name server", "interroger un serveur de noms"},
		{IdentityAsk, false, "ask the identity server whose an address is", "demander au serveur d'identité à qui est une adresse"},
	}
}

// infoOf finds a point; nil when it is not in the registry.
func infoOf(p Point) *PointInfo {
	all := Points()
	for i := range all {
		if all[i].Point == p {
			return &all[i]
		}
	}
	return nil
}

// The kinds of data that a partner may be granted.
const (
	DataRooms     = "rooms"     // events, and what they need: keys, state, invitations
	DataMedia     = "media"     // files
	DataProfiles  = "profiles"  // names and pictures of our users
	DataDevices   = "devices"   // device lists and messages to devices, which encryption needs
	DataReceipts  = "receipts"  // who has read what
	DataTyping    = "typing"    // who types
	DataPresence  = "presence"  // who is there
	DataDirectory = "directory" // which public rooms and aliases there are
)

// Data lists the kinds; the first five are what a partner gets that grants none.
func Data() []string {
	return []string{DataRooms, DataMedia, DataProfiles, DataDevices, DataReceipts, DataTyping, DataPresence, DataDirectory}
}

// usualData is what a partner gets unless the policy says which.
const usualData = 5
