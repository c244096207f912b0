/** Whether a content type is JSON; none at all counts as JSON. */
export function isJson(contentType: string): boolean {
  if (contentType === '' || contentType === 'application/json') return true;
  const type = contentType.split(';', 1)[0].trim().toLowerCase();
  return type === 'application/json' || type.endsWith('+json');
}
