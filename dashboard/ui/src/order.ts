/** Names in the order that people expect: `host-2` before `host-10`. One collator: making one is dear. */
export const inOrder = new Intl.Collator("en", { numeric: true }).compare;
