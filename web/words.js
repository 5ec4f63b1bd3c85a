// Every word of the page, in every language it speaks: one line a phrase, in the order of LANGUAGES. `{name}` is filled in.

export const LANGUAGES = { en: "English", de: "Deutsch", fr: "Français", es: "Español" };

const CODES = Object.keys(LANGUAGES);

const WORDS = {
  skip: ["Skip to content", "Zum Inhalt", "Aller au contenu", "Ir al contenido"],
  views: ["Views", "Ansichten", "Vues", "Vistas"],
  ask: ["Ask", "Fragen", "Demander", "Preguntar"],
  documents: ["Documents", "Dokumente", "Documents", "Documentos"],
  language: ["Language", "Sprache", "Langue", "Idioma"],
  theme: ["Theme", "Farben", "Thème", "Tema"],
  theme_system: ["as the system", "wie das System", "comme le système", "como el sistema"],
  theme_light: ["light", "hell", "clair", "claro"],
  theme_dark: ["dark", "dunkel", "sombre", "oscuro"],
  welcomeTitle: ["Ask your documents", "Fragen Sie Ihre Dokumente", "Interrogez vos documents", "Pregunte a sus documentos"],
  welcomeText: [
    "Every answer shows the passages it rests on. Where the documents do not say, it says so.",
    "Jede Antwort zeigt die Stellen, auf denen sie beruht. Wo die Dokumente nichts sagen, sagt sie das.",
    "Chaque réponse montre les passages sur lesquels elle s’appuie. Si les documents ne disent rien, elle le dit.",
    "Cada respuesta muestra los pasajes en que se basa. Si los documentos no lo dicen, lo reconoce.",
  ],
  welcomeEmpty: [
    "There is nothing to ask about yet. Add documents, and they are answerable within moments.",
    "Noch gibt es nichts zu fragen. Fügen Sie Dokumente hinzu: Gleich danach geben sie Antwort.",
    "Il n’y a encore rien à demander. Ajoutez des documents : ils répondront dans un instant.",
    "Aún no hay nada que preguntar. Añada documentos y en unos instantes podrán responder.",
  ],
  addDocuments: ["Add documents", "Dokumente hinzufügen", "Ajouter des documents", "Añadir documentos"],
  question: ["Your question", "Ihre Frage", "Votre question", "Su pregunta"],
  questionHint: ["Ask a question", "Stellen Sie eine Frage", "Posez une question", "Haga una pregunta"],
  send: ["Send", "Senden", "Envoyer", "Enviar"],
  stop: ["Stop", "Anhalten", "Arrêter", "Detener"],
  stopped: ["Stopped.", "Angehalten.", "Arrêté.", "Detenido."],
  fine: [
    "Check what matters against the sources. Enter sends, Shift+Enter begins a new line.",
    "Prüfen Sie Wichtiges an den Quellen. Enter sendet, Umschalt+Enter beginnt eine neue Zeile.",
    "Vérifiez l’essentiel dans les sources. Entrée envoie, Maj+Entrée va à la ligne.",
    "Compruebe lo importante en las fuentes. Intro envía, Mayús+Intro salta de línea.",
  ],
  newConversation: ["New conversation", "Neues Gespräch", "Nouvelle conversation", "Nueva conversación"],
  conversations: ["Conversations", "Gespräche", "Conversations", "Conversaciones"],
  noConversations: ["What you ask is kept here.", "Hier steht, was Sie gefragt haben.", "Ce que vous demandez est gardé ici.", "Aquí se guarda lo que pregunte."],
  deleteConversation: ["Delete “{title}”?", "„{title}“ löschen?", "Supprimer « {title} » ?", "¿Eliminar «{title}»?"],
  rename: ["Rename", "Umbenennen", "Renommer", "Cambiar nombre"],
  export: ["Export", "Exportieren", "Exporter", "Exportar"],
  save: ["Save", "Speichern", "Enregistrer", "Guardar"],
  helped: ["This helped", "Das hat geholfen", "Cela m’a aidé", "Me ha servido"],
  helpedNot: ["This did not help", "Das hat nicht geholfen", "Cela ne m’a pas aidé", "No me ha servido"],
  comment: ["What could be better?", "Was könnte besser sein?", "Que faudrait-il améliorer ?", "¿Qué podría mejorar?"],
  thanks: ["Thank you.", "Danke.", "Merci.", "Gracias."],
  conversation: ["Conversation", "Gespräch", "Conversation", "Conversación"],
  onlyIn: ["Only in {name}", "Nur in {name}", "Seulement dans {name}", "Solo en {name}"],
  everywhere: ["Ask all documents again", "Wieder alle Dokumente fragen", "Interroger à nouveau tous les documents", "Volver a preguntar a todos los documentos"],
  searching: ["Looking through the documents…", "Die Dokumente werden durchgesehen …", "Recherche dans les documents…", "Buscando en los documentos…"],
  loading: ["Opening…", "Wird geöffnet …", "Ouverture…", "Abriendo…"],
  citation: ["Source {number}: {place}", "Quelle {number}: {place}", "Source {number} : {place}", "Fuente {number}: {place}"],
  sources: ["Sources", "Quellen", "Sources", "Fuentes"],
  lookedUp: ["What was looked up", "Was nachgeschlagen wurde", "Ce qui a été consulté", "Lo que se consultó"],
  cameToNothing: ["came to nothing", "ergab nichts", "sans résultat", "sin resultado"],
  tool_search_documents: ["Search", "Suche", "Recherche", "Búsqueda"],
  tool_summarize_document: ["Reading", "Lektüre", "Lecture", "Lectura"],
  tool_list_documents: ["List of documents", "Liste der Dokumente", "Liste des documents", "Lista de documentos"],
  tool_send_email: ["E-mail", "E-Mail", "E-mail", "Correo"],
  tool_create_task: ["Task", "Aufgabe", "Tâche", "Tarea"],
  tool_generate_report: ["Report", "Bericht", "Rapport", "Informe"],
  proposal: ["Proposed: {kind}", "Vorgeschlagen: {kind}", "Proposition : {kind}", "Propuesta: {kind}"],
  proposalWaits: [
    "Something was proposed; it is below the answer.",
    "Etwas wurde vorgeschlagen; es steht unter der Antwort.",
    "Une action est proposée ; elle est sous la réponse.",
    "Se ha propuesto algo; está debajo de la respuesta.",
  ],
  confirm: ["Confirm", "Bestätigen", "Confirmer", "Confirmar"],
  reject: ["Reject", "Ablehnen", "Refuser", "Rechazar"],
  oneMoment: ["One moment…", "Einen Moment …", "Un instant…", "Un momento…"],
  saveReport: ["Download the report", "Bericht herunterladen", "Télécharger le rapport", "Descargar el informe"],
  action_proposed: [
    "Nothing is done unless you confirm it before {time}.",
    "Nichts geschieht, wenn Sie es nicht vor {time} bestätigen.",
    "Rien n’est fait si vous ne confirmez pas avant {time}.",
    "No se hará nada si no lo confirma antes de las {time}.",
  ],
  action_running: ["Being done…", "Wird ausgeführt …", "En cours…", "En curso…"],
  action_done: ["Done.", "Erledigt.", "C’est fait.", "Hecho."],
  action_doneAs: ["Done, with the reference {reference}.", "Erledigt, mit dem Zeichen {reference}.", "C’est fait, sous la référence {reference}.", "Hecho, con la referencia {reference}."],
  action_dry: [
    "A dry run: nothing was sent or written.",
    "Ein Probelauf: Nichts wurde gesendet oder geschrieben.",
    "Un essai à blanc : rien n’a été envoyé ni écrit.",
    "Un simulacro: no se envió ni se escribió nada.",
  ],
  action_failed: [
    "It was not done: {why}. Ask again if you still want it.",
    "Es wurde nicht ausgeführt: {why}. Fragen Sie noch einmal, wenn Sie es weiterhin möchten.",
    "Cela n’a pas été fait : {why}. Redemandez si vous le voulez toujours.",
    "No se hizo: {why}. Pregunte de nuevo si aún lo desea.",
  ],
  action_unknown: [
    "Nobody can say whether it was done: {why}. Look there before you ask for it again.",
    "Niemand kann sagen, ob es ausgeführt wurde: {why}. Sehen Sie dort nach, bevor Sie es noch einmal verlangen.",
    "Personne ne peut dire si cela a été fait : {why}. Vérifiez sur place avant de redemander.",
    "Nadie puede decir si se hizo: {why}. Compruébelo allí antes de volver a pedirlo.",
  ],
  action_rejected: ["Rejected; nothing was done.", "Abgelehnt; nichts ist geschehen.", "Refusé ; rien n’a été fait.", "Rechazado; no se hizo nada."],
  action_gone: [
    "This proposal is not kept any more.",
    "Dieser Vorschlag wird nicht mehr aufbewahrt.",
    "Cette proposition n’est plus conservée.",
    "Esta propuesta ya no se conserva.",
  ],
  field_to: ["To", "An", "À", "Para"],
  field_subject: ["Subject", "Betreff", "Objet", "Asunto"],
  field_body: ["Text", "Text", "Texte", "Texto"],
  field_title: ["Title", "Titel", "Titre", "Título"],
  field_description: ["Description", "Beschreibung", "Description", "Descripción"],
  field_assignee: ["For", "Für", "Pour", "Para"],
  field_due: ["Due", "Fällig", "Échéance", "Vencimiento"],
  field_priority: ["Priority", "Vorrang", "Priorité", "Prioridad"],
  field_query: ["Question", "Frage", "Question", "Pregunta"],
  field_documents: ["Documents", "Dokumente", "Documents", "Documentos"],
  field_format: ["Format", "Format", "Format", "Formato"],
  followUps: ["Further questions", "Weitere Fragen", "Autres questions", "Más preguntas"],
  copy: ["Copy", "Kopieren", "Copier", "Copiar"],
  copied: ["Copied", "Kopiert", "Copié", "Copiado"],
  again: ["Ask again", "Noch einmal fragen", "Redemander", "Preguntar de nuevo"],
  page: ["page {page}", "Seite {page}", "page {page}", "página {page}"],
  pageOf: ["Page {page} of {pages}", "Seite {page} von {pages}", "Page {page} sur {pages}", "Página {page} de {pages}"],
  pageAlt: [
    "Page {page} of the document. Marked on it: {text}",
    "Seite {page} des Dokuments. Darauf markiert: {text}",
    "Page {page} du document. Passage marqué : {text}",
    "Página {page} del documento. Marcado en ella: {text}",
  ],
  pageBefore: ["Page before", "Seite davor", "Page précédente", "Página anterior"],
  pageAfter: ["Next page", "Nächste Seite", "Page suivante", "Página siguiente"],
  view: ["View", "Ansicht", "Vue", "Vista"],
  pageView: ["Page", "Seite", "Page", "Página"],
  textView: ["Text", "Text", "Texte", "Texto"],
  reader: ["The passage in its place", "Die Stelle im Dokument", "Le passage à sa place", "El pasaje en su lugar"],
  passage: ["Passage", "Textstelle", "Passage", "Pasaje"],
  gone: [
    "This passage is not there any more: the document was changed or deleted.",
    "Diese Stelle gibt es nicht mehr: Das Dokument wurde geändert oder gelöscht.",
    "Ce passage n’existe plus : le document a été modifié ou supprimé.",
    "Este pasaje ya no existe: el documento se modificó o se eliminó.",
  ],
  download: ["Download the document", "Dokument herunterladen", "Télécharger le document", "Descargar el documento"],
  close: ["Close", "Schließen", "Fermer", "Cerrar"],
  choose: ["Choose files", "Dateien wählen", "Choisir des fichiers", "Elegir archivos"],
  dropHint: [
    "Or drop them anywhere on this page. PDF, Office, Markdown, HTML, e-mail and more.",
    "Oder irgendwo auf dieser Seite ablegen. PDF, Office, Markdown, HTML, E-Mail und mehr.",
    "Ou déposez-les n’importe où sur cette page. PDF, Office, Markdown, HTML, e-mail, etc.",
    "O suéltelos en cualquier parte de esta página. PDF, Office, Markdown, HTML, correo y más.",
  ],
  dropNow: ["Drop to add to the documents", "Ablegen, um sie hinzuzufügen", "Déposez pour ajouter aux documents", "Suelte para añadir a los documentos"],
  uploads: ["Uploads", "Hochladen", "Envois", "Subidas"],
  uploading: ["Uploading {name}", "{name} wird hochgeladen", "Envoi de {name}", "Subiendo {name}"],
  uploaded: ["{name} was uploaded", "{name} ist hochgeladen", "{name} a été envoyé", "{name} se ha subido"],
  waits: ["Waiting", "Wartet", "En attente", "En espera"],
  sent: ["{percent} % sent", "{percent} % gesendet", "{percent} % envoyé", "{percent} % enviado"],
  dismiss: ["Dismiss", "Ausblenden", "Masquer", "Ocultar"],
  filter: ["Find a document by its name", "Dokument nach Namen suchen", "Trouver un document par son nom", "Buscar un documento por su nombre"],
  more: ["Show {n} more", "{n} weitere zeigen", "En afficher {n} de plus", "Mostrar {n} más"],
  nothingFits: ["No document has this in its name.", "Kein Dokument hat das im Namen.", "Aucun document ne contient cela dans son nom.", "Ningún documento contiene eso en su nombre."],
  emptyTitle: ["No documents yet", "Noch keine Dokumente", "Pas encore de documents", "Aún no hay documentos"],
  emptyText: [
    "Drop a few files here. Each is read, cut into passages and answerable moments later; this list tells how far it is.",
    "Legen Sie ein paar Dateien hier ab. Jede wird gelesen, in Abschnitte geteilt und gibt gleich darauf Antwort; diese Liste sagt, wie weit sie ist.",
    "Déposez quelques fichiers ici. Chacun est lu, découpé en passages et répond peu après ; cette liste indique où il en est.",
    "Suelte aquí unos archivos. Cada uno se lee, se divide en pasajes y responde instantes después; esta lista dice cómo va.",
  ],
  waiting: ["{n} on the way", "{n} unterwegs", "{n} en cours", "{n} en camino"],
  document: ["{n} document|{n} documents", "{n} Dokument|{n} Dokumente", "{n} document|{n} documents", "{n} documento|{n} documentos"],
  pageCount: ["{n} page|{n} pages", "{n} Seite|{n} Seiten", "{n} page|{n} pages", "{n} página|{n} páginas"],
  passageCount: ["{n} passage|{n} passages", "{n} Abschnitt|{n} Abschnitte", "{n} passage|{n} passages", "{n} pasaje|{n} pasajes"],
  state_queued: ["Waiting", "Wartet", "En attente", "En espera"],
  state_processing: ["Being read", "Wird gelesen", "En lecture", "En lectura"],
  state_indexed: ["Answerable", "Gibt Antwort", "Répond", "Responde"],
  state_failed: ["Failed, tried again", "Fehlgeschlagen, neuer Versuch", "Échec, nouvel essai", "Falló, se reintenta"],
  state_quarantined: ["Set aside", "Beiseitegelegt", "Mis de côté", "Apartado"],
  askAbout: ["Ask this document", "Dieses Dokument fragen", "Interroger ce document", "Preguntar a este documento"],
  retry: ["Try again", "Noch einmal versuchen", "Réessayer", "Reintentar"],
  delete: ["Delete", "Löschen", "Supprimer", "Eliminar"],
  deleteTitle: ["Delete this document?", "Dieses Dokument löschen?", "Supprimer ce document ?", "¿Eliminar este documento?"],
  deleteText: [
    "{name} is removed from storage and quoted no more. This cannot be undone here.",
    "{name} wird aus dem Speicher entfernt und nicht mehr zitiert. Das lässt sich hier nicht zurücknehmen.",
    "{name} est retiré du stockage et n’est plus cité. Cela ne peut pas être annulé ici.",
    "{name} se quita del almacenamiento y no se cita más. Aquí no se puede deshacer.",
  ],
  deleted: ["{name} was deleted", "{name} ist gelöscht", "{name} a été supprimé", "{name} se ha eliminado"],
  cancel: ["Cancel", "Abbrechen", "Annuler", "Cancelar"],
  key: ["Key", "Schlüssel", "Clé", "Clave"],
  keyTitle: ["This server wants a key", "Dieser Server verlangt einen Schlüssel", "Ce serveur demande une clé", "Este servidor pide una clave"],
  keyText: [
    "Whoever runs it can give you the function key. It stays in this tab and is forgotten when you close it.",
    "Wer ihn betreibt, kann Ihnen den Funktionsschlüssel geben. Er bleibt in diesem Tab und wird beim Schließen vergessen.",
    "La personne qui le gère peut vous donner la clé de fonction. Elle reste dans cet onglet et est oubliée à sa fermeture.",
    "Quien lo administra puede darle la clave de función. Se queda en esta pestaña y se olvida al cerrarla.",
  ],
  keyRefused: ["The key was not accepted.", "Der Schlüssel wurde nicht angenommen.", "La clé n’a pas été acceptée.", "La clave no fue aceptada."],
  keyUse: ["Use the key", "Schlüssel verwenden", "Utiliser la clé", "Usar la clave"],
  keyMissing: ["Without a key this server does not answer.", "Ohne Schlüssel antwortet dieser Server nicht.", "Sans clé, ce serveur ne répond pas.", "Sin clave este servidor no responde."],
  token: ["Token", "Token", "Jeton", "Token"],
  signIn: ["Sign in", "Anmelden", "Se connecter", "Iniciar sesión"],
  signOut: ["Sign out", "Abmelden", "Se déconnecter", "Cerrar sesión"],
  signInTitle: ["Please sign in", "Bitte anmelden", "Veuillez vous connecter", "Inicie sesión"],
  signInText: [
    "This server shows you what you may read, so it has to know who you are.",
    "Dieser Server zeigt Ihnen, was Sie lesen dürfen, und muss dafür wissen, wer Sie sind.",
    "Ce serveur vous montre ce que vous pouvez lire ; il doit donc savoir qui vous êtes.",
    "Este servidor le muestra lo que puede leer, así que debe saber quién es.",
  ],
  tokenText: [
    "Whoever runs this server can give you a token that says who you are. It stays in this tab and is forgotten when you close it.",
    "Wer diesen Server betreibt, kann Ihnen ein Token geben, das sagt, wer Sie sind. Es bleibt in diesem Tab und wird beim Schließen vergessen.",
    "La personne qui gère ce serveur peut vous donner un jeton qui dit qui vous êtes. Il reste dans cet onglet et est oublié à sa fermeture.",
    "Quien administra este servidor puede darle un token que dice quién es. Se queda en esta pestaña y se olvida al cerrarla.",
  ],
  tokenRefused: [
    "The token was not accepted, or it has expired.",
    "Das Token wurde nicht angenommen oder ist abgelaufen.",
    "Le jeton n’a pas été accepté ou a expiré.",
    "El token no fue aceptado o ha caducado.",
  ],
  tokenMissing: ["This server does not answer whom it does not know.", "Wen dieser Server nicht kennt, dem antwortet er nicht.", "Ce serveur ne répond pas à qui il ne connaît pas.", "Este servidor no responde a quien no conoce."],
  unreachable: ["The server does not answer. Is it running?", "Der Server antwortet nicht. Läuft er?", "Le serveur ne répond pas. Est-il en marche ?", "El servidor no responde. ¿Está en marcha?"],
  failed: ["Something went wrong ({status}). Please try again.", "Etwas ist schiefgegangen ({status}). Bitte noch einmal versuchen.", "Une erreur est survenue ({status}). Veuillez réessayer.", "Algo salió mal ({status}). Inténtelo de nuevo."],
  degraded: [
    "Not everything answers right now ({parts}). Answers may be fewer or less good.",
    "Gerade antwortet nicht alles ({parts}). Antworten können fehlen oder schlechter sein.",
    "Tout ne répond pas en ce moment ({parts}). Les réponses peuvent manquer ou être moins bonnes.",
    "No todo responde ahora mismo ({parts}). Las respuestas pueden faltar o ser peores.",
  ],
  "why_document-too-large": ["It is too large.", "Es ist zu groß.", "Il est trop volumineux.", "Es demasiado grande."],
  "why_body-too-large": ["It is too large.", "Es ist zu groß.", "Il est trop volumineux.", "Es demasiado grande."],
  "why_document-unsupported": ["This kind of file cannot be read.", "Diese Art von Datei kann nicht gelesen werden.", "Ce type de fichier ne peut pas être lu.", "Este tipo de archivo no se puede leer."],
  "why_document-empty": ["It is empty.", "Es ist leer.", "Il est vide.", "Está vacío."],
  "why_document-damaged": ["It is damaged and cannot be read.", "Es ist beschädigt und kann nicht gelesen werden.", "Il est endommagé et ne peut pas être lu.", "Está dañado y no se puede leer."],
  "why_document-encrypted": [
    "It is protected with a password. Add it without one.",
    "Es ist mit einem Passwort geschützt. Fügen Sie es ohne hinzu.",
    "Il est protégé par un mot de passe. Ajoutez-le sans protection.",
    "Está protegido con contraseña. Añádalo sin ella.",
  ],
  "why_document-without-text": [
    "It holds no text; it may be scanned. Run text recognition (OCR) on it first.",
    "Es enthält keinen Text, vielleicht ist es ein Scan. Lassen Sie zuerst eine Texterkennung (OCR) laufen.",
    "Il ne contient pas de texte ; c’est peut-être un scan. Passez-le d’abord à la reconnaissance de texte (OCR).",
    "No contiene texto; quizá está escaneado. Pásele primero un reconocimiento de texto (OCR).",
  ],
  "why_document-over-limit": ["It is larger or more complex than the limits allow.", "Es ist größer oder verwickelter, als die Grenzen erlauben.", "Il est plus grand ou plus complexe que les limites.", "Es más grande o complejo de lo permitido."],
  "why_quota-exceeded": ["No more documents may be added; delete some first.", "Es sind keine weiteren Dokumente erlaubt; löschen Sie erst welche.", "Aucun document de plus n’est permis ; supprimez-en d’abord.", "No se admiten más documentos; elimine alguno antes."],
};

let column = Math.max(0, CODES.indexOf(wanted()));

/** The language that was chosen, else the first of the browser's that is spoken here. */
function wanted() {
  const theirs = [stored(), ...(navigator.languages ?? [navigator.language])];
  return theirs.map((tag) => (tag ?? "").slice(0, 2).toLowerCase()).find((code) => CODES.includes(code));
}

function stored() {
  try {
    return localStorage.getItem("language");
  } catch {
    return null;
  }
}

export const language = () => CODES[column];

export function chooseLanguage(code) {
  column = Math.max(0, CODES.indexOf(code));
  try {
    localStorage.setItem("language", language());
  } catch {
    // It holds until the page is left.
  }
}

/** Whether there is such a phrase. */
export const has = (key) => Object.hasOwn(WORDS, key);

/** A phrase with what belongs into it. */
export function t(key, values = {}) {
  const phrase = WORDS[key]?.[column] ?? key;
  return phrase.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

/** A number of things, in the singular where it is one. */
export function count(key, n) {
  const [one, many] = WORDS[key][column].split("|");
  return (n === 1 ? one : many).replace("{n}", new Intl.NumberFormat(language()).format(n));
}

/** Bytes as people say them. */
export function size(bytes) {
  const [value, unit] = bytes < 1_000_000 ? [Math.max(1, bytes / 1_000), "kilobyte"] : [bytes / 1_000_000, "megabyte"];
  const digits = value < 10 && unit === "megabyte" ? 1 : 0;
  return new Intl.NumberFormat(language(), { style: "unit", unit, maximumFractionDigits: digits }).format(value);
}
