// Columns by their usual names, and labels as files have them: the same as `python -m app score` takes.

// Compared without case, spaces, hyphens and underscores.
export const TEXT_NAMES = [
  "text",
  "review",
  "sentence",
  "content",
  "comment",
  "body",
  "message",
  "tweet",
  "review text",
  "review body",
  "review content",
  "comment text",
  "tweet text",
  ...["Kommentar", "Rezension", "Nachricht"],
  ...["texte", "avis", "commentaire"],
  ...["texto", "reseña", "comentario"],
  ...["текст", "отзыв", "комментарий", "сообщение"],
];
export const LABEL_NAMES = [
  ...["label", "sentiment", "class", "category", "target", "rating", "stars", "score", "polarity"],
  ...["Klasse", "Kategorie", "Stimmung"],
  ...["étiquette", "classe", "catégorie"],
  ...["etiqueta", "clase", "categoría", "sentimiento"],
  ...["метка", "класс", "категория", "оценка", "тональность"],
];

// Other names of negative and positive. Compared without case.
const PAIRS = [
  ["0", "1"],
  ["neg", "pos"],
  ["negative", "positive"],
  ["false", "true"],
  ["no", "yes"],
];
const COUNTS = ["words_used", "words_unknown", "words_cut"];
const NOTHING = { sentiment: null, probability: null, probability_positive: null, probabilities: null };

const fold = (name) => name.toLowerCase().replaceAll(/[ _-]/g, "");

/** Return the numbers of the columns that have a usual name. */
export function findColumns(columns, usual, without = []) {
  const names = new Set(usual.map(fold));
  return columns.map((_, place) => place).filter((place) => !without.includes(place) && names.has(fold(columns[place].trim())));
}

/** Return the label of the model that a value of the label column means; null if it means none. */
export function matchLabel(value, labels) {
  const plain = value.trim();
  if (labels.includes(plain)) return plain;
  const same = labels.find((label) => label.toLowerCase() === plain.toLowerCase());
  if (same !== undefined || labels.join() !== "negative,positive") return same ?? null;
  const pair = PAIRS.find((names) => names.includes(plain.toLowerCase()));
  return pair ? labels[pair.indexOf(plain.toLowerCase())] : null;
}

/** Return the names of the columns that the answers of a model add. */
export function nameColumns(labels) {
  const shown = labels.length === 2 ? labels.slice(1) : labels;
  return ["predicted_sentiment", ...shown.map((label) => `probability_${label}`), ...COUNTS];
}

/** Return the values of the added columns for an answer; null for a row that was not scored. */
export function listValues(answer, labels) {
  const { probability_positive: second, probabilities, sentiment } = answer ?? NOTHING;
  const shown = labels.length === 2 ? [second] : labels.map((label) => probabilities?.[label] ?? null);
  return [sentiment, ...shown, ...COUNTS.map((name) => answer?.[name] ?? null)];
}

/** The answer to a row without a text. */
export const NO_TEXT = { ...NOTHING, ...Object.fromEntries(COUNTS.map((name) => [name, 0])) };
