/** Who looks, as the server says it. */
export interface Session {
  user: string;
  /** `artist`, `viewer` or `admin`. */
  role: string;
  /** Admins see everybody's work; others see their own, and counts. */
  seesAll: boolean;
  /** Viewers only look. */
  mayChange: boolean;
}

/** A session of this user and role. */
export function sessionOf(user: string, role: string): Session {
  return { user, role, seesAll: role === "admin", mayChange: role !== "viewer" };
}
