declare const PACKAGE_VERSION: string;

/** The version of this package: the build and the tests put in that of `package.json`. */
export const version = PACKAGE_VERSION;
