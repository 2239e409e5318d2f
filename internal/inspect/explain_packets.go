package inspect

// packetTexts say what each packet does and what follows. The key is the type, with the
// situation behind it where the same packet can mean different things.
var packetTexts = map[string]explanation{
	"CONNECT": {
		"The client opens its conversation: who it is, how long it may stay silent, what the server shall publish if it vanishes. Nothing may come before; the server answers with CONNACK, or closes the connection.",
		"Le client ouvre sa conversation : qui il est, combien de temps il peut se taire, ce que le serveur publiera s'il disparaît. Rien ne peut venir avant ; le serveur répond CONNACK ou ferme la connexion.",
		"section 3.1", "section 3.1"},
	"CONNACK": {
		"The server accepts the client and has no session of it: subscriptions of an earlier time are gone, so the client subscribes now.",
		"Le serveur accepte le client et n'a pas de session de lui : les abonnements d'avant sont perdus, le client s'abonne donc maintenant.",
		"section 3.2", "section 3.2"},
	"CONNACK present": {
		"The server accepts the client and still has its session: its subscriptions are in force, and what waited for it follows.",
		"Le serveur accepte le client et a gardé sa session : ses abonnements sont en vigueur, et ce qui l'attendait suit.",
		"section 3.2.2.1", "section 3.2.2.2"},
	"CONNACK refused": {
		"The server refuses the client, for the reason that the code says, and closes the connection. Trying again helps only if the reason goes away.",
		"Le serveur refuse le client, pour la raison que dit le code, et ferme la connexion. Réessayer n'aide que si la raison disparaît.",
		"section 3.2.2.2", "section 3.2.2.3"},
	"PUBLISH": {
		"A message on its way to everybody who subscribed to its topic.",
		"Un message en route vers tous ceux qui sont abonnés à son sujet.",
		"section 3.3", "section 3.3"},
	"PUBLISH 0": {
		"A message, sent once and forgotten (QoS 0): nobody acknowledges it, and it is lost if the connection breaks now.",
		"Un message, envoyé une fois et oublié (QoS 0) : personne ne l'acquitte, et il est perdu si la connexion se rompt maintenant.",
		"section 4.3.1", "section 4.3.1"},
	"PUBLISH 1": {
		"A message that arrives at least once (QoS 1): the receiver answers with PUBACK and this Packet Identifier. Without an answer it is sent again after a reconnect, so it may arrive twice.",
		"Un message qui arrive au moins une fois (QoS 1) : le destinataire répond PUBACK avec cet identifiant. Sans réponse il est renvoyé après une reconnexion, et peut donc arriver deux fois.",
		"section 4.3.2", "section 4.3.2"},
	"PUBLISH 2": {
		"A message that arrives exactly once (QoS 2), in four steps: this PUBLISH, then PUBREC, PUBREL and PUBCOMP with the same Packet Identifier.",
		"Un message qui arrive exactement une fois (QoS 2), en quatre temps : ce PUBLISH, puis PUBREC, PUBREL et PUBCOMP avec le même identifiant.",
		"section 4.3.3", "section 4.3.3"},
	"PUBACK": {
		"The receiver has the QoS 1 message with this Packet Identifier; the sender may forget it.",
		"Le destinataire a le message QoS 1 de cet identifiant ; l'expéditeur peut l'oublier.",
		"section 3.4", "section 3.4"},
	"PUBACK refused": {
		"The receiver has got the QoS 1 message and does not take it, for the reason that the code says. It is not sent again.",
		"Le destinataire a reçu le message QoS 1 et ne le prend pas, pour la raison que dit le code. Il n'est pas renvoyé.",
		"section 3.4.2.1", ""},
	"PUBREC": {
		"Second step of QoS 2: the receiver has the message and remembers its Packet Identifier, so that a second copy does no harm. PUBREL follows.",
		"Deuxième temps de la QoS 2 : le destinataire a le message et retient son identifiant, de sorte qu'une seconde copie ne gêne pas. PUBREL suit.",
		"section 3.5", "section 3.5"},
	"PUBREC refused": {
		"The receiver has got the QoS 2 message and does not take it, for the reason that the code says. The exchange ends here: no PUBREL follows.",
		"Le destinataire a reçu le message QoS 2 et ne le prend pas, pour la raison que dit le code. L'échange finit là : aucun PUBREL ne suit.",
		"section 3.5.2.1", ""},
	"PUBREL": {
		"Third step of QoS 2: the sender has forgotten the message and will not send it again; the receiver may forget the Packet Identifier and answers with PUBCOMP.",
		"Troisième temps de la QoS 2 : l'expéditeur a oublié le message et ne le renverra pas ; le destinataire peut oublier l'identifiant et répond PUBCOMP.",
		"section 3.6", "section 3.6"},
	"PUBCOMP": {
		"Last step of QoS 2: the exchange is over, and the Packet Identifier is free for another message.",
		"Dernier temps de la QoS 2 : l'échange est fini, et l'identifiant est libre pour un autre message.",
		"section 3.7", "section 3.7"},
	"SUBSCRIBE": {
		"The client asks for all messages whose topics match these filters. The server answers with SUBACK, a code for each filter, and sends the retained messages that match.",
		"Le client demande tous les messages dont le sujet correspond à ces filtres. Le serveur répond SUBACK, un code par filtre, et envoie les messages retenus qui correspondent.",
		"section 3.8", "section 3.8"},
	"SUBACK": {
		"The server takes the subscriptions: the codes, in the order of the filters, say the highest QoS in which messages will come.",
		"Le serveur accepte les abonnements : les codes, dans l'ordre des filtres, disent la QoS la plus haute avec laquelle les messages viendront.",
		"section 3.9", "section 3.9"},
	"SUBACK refused": {
		"The server refuses at least one of the filters: the codes stand in the order of the filters, and those from 0x80 on are refusals. Nothing will come for them.",
		"Le serveur refuse au moins un des filtres : les codes sont dans l'ordre des filtres, et ceux à partir de 0x80 sont des refus. Rien ne viendra pour eux.",
		"section 3.9.3", "section 3.9.3"},
	"UNSUBSCRIBE": {
		"The client does not want these filters any longer. The server answers with UNSUBACK; messages that are already on their way may still come.",
		"Le client ne veut plus de ces filtres. Le serveur répond UNSUBACK ; des messages déjà en route peuvent encore venir.",
		"section 3.10", "section 3.10"},
	"UNSUBACK": {
		"The server has ended the subscriptions.",
		"Le serveur a mis fin aux abonnements.",
		"section 3.11", "section 3.11"},
	"PINGREQ": {
		"The client shows that it lives because it has had nothing else to send. Without it the server closes the connection after one and a half times the Keep Alive, and publishes the Will Message. PINGRESP follows.",
		"Le client montre qu'il vit, faute d'avoir autre chose à envoyer. Sans cela le serveur ferme la connexion après une fois et demie le Keep Alive, et publie le testament. PINGRESP suit.",
		"section 3.12", "section 3.12"},
	"PINGRESP": {
		"The server answers the PINGREQ: it lives, and the way there and back works. Without it the client closes the connection and connects again.",
		"Le serveur répond au PINGREQ : il vit, et le chemin fonctionne dans les deux sens. Sans cela le client ferme la connexion et se reconnecte.",
		"section 3.13", "section 3.13"},
	"DISCONNECT": {
		"The client leaves in good order: its Will Message is not published. It closes the connection after this.",
		"Le client part en bon ordre : son testament n'est pas publié. Il ferme ensuite la connexion.",
		"section 3.14", "section 3.14"},
	"DISCONNECT will": {
		"The client leaves and wants its Will Message to be published nevertheless.",
		"Le client part et veut que son testament soit publié malgré tout.",
		"section 3.14.2.1", ""},
	"DISCONNECT server": {
		"The server ends the connection, for the reason that the code says. Only 5.0 has this packet from a server; older ones just close the connection.",
		"Le serveur met fin à la connexion, pour la raison que dit le code. Seule la 5.0 a ce paquet venant d'un serveur ; les versions d'avant ferment simplement la connexion.",
		"section 3.14", "section 3.14"},
	"AUTH": {
		"A step of an enhanced authentication, in which client and server prove to each other who they are, in as many steps as the method has.",
		"Une étape d'une authentification renforcée, où client et serveur se prouvent qui ils sont, en autant d'étapes que la méthode en a.",
		"section 3.15", ""},
	"reserved": {
		"A packet of type 0 does not exist.",
		"Un paquet de type 0 n'existe pas.",
		"section 2.1.2", "section 2.2.1"},
}
