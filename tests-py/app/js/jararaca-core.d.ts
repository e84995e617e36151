// The names of `@jararaca/core` that generated files use, as narrowly typed as that package has them.
declare module "@jararaca/core" {
  export type ResponseType = "arraybuffer" | "blob" | "document" | "json" | "text" | "stream" | "formdata";
  export interface HttpBackendRequest {
    method: string;
    path: string;
    pathParams: { [key: string]: any };
    headers: { [key: string]: string };
    query: { [key: string]: unknown };
    body: unknown;
    responseType?: ResponseType;
  }
  export interface HttpBackend {
    request<T>(request: HttpBackendRequest): Promise<T>;
  }
  export abstract class HttpService {
    protected readonly httpBackend: HttpBackend;
    constructor(httpBackend: HttpBackend);
  }
  type Service = new (...values: any[]) => any;
  type Called<C extends Service> = Array<keyof InstanceType<C>>;
  type Pages<C extends Service> = Partial<{ [K in keyof InstanceType<C>]: { initialPageParam: unknown } }>;
  export function createClassQueryHooks<C extends Service, M extends Called<C>>(service: C, ...methods: M): object;
  export function createClassMutationHooks<C extends Service, M extends Called<C>>(service: C, ...methods: M): object;
  export function createClassInfiniteQueryHooks<C extends Service, M extends Pages<C>>(service: C, pages: M): object;
  export function paginationModelByFirstArgPaginationFilter(): { initialPageParam: number };
  export function recursiveCamelToSnakeCase(value: any): any;
}
