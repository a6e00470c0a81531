/** Source files of the product, and what a program that serves echo.proto has in their place. */
export const replacements: Readonly<Record<string, string>> = {
  'src/services.ts': 'test/echo/services.ts',
  'src/gen/descriptor_set.ts': 'test/echo/descriptor_set.ts',
};
