/* hlsl FOLDER [MODELS]: compiles every FOLDER/NAME.cs_X_Y.hlsl, or those whose model begins so, such as 6, as wgpu does: with FXC
 * (d3dcompiler_47.dll) up to model 5.1, with DXC (dxcompiler.dll) from 6.0 on.
 * Prints what was refused and why, then one line "N compiled, N refused". */
#define COBJMACROS
#include <windows.h>
#include <d3dcommon.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

typedef HRESULT(WINAPI *D3DCompileFn)(const void *, SIZE_T, const char *, const void *, void *, const char *, const char *, UINT, UINT,
                                      ID3DBlob **, ID3DBlob **);
typedef HRESULT(WINAPI *DxcCreateInstanceFn)(REFCLSID, REFIID, void **);

#define D3DCOMPILE_ENABLE_STRICTNESS (1 << 11)

typedef struct {
    const void *data;
    SIZE_T size;
    UINT encoding;
} DxcBuffer;

/* As many methods of DXC's interfaces as are called; an IDxcBlob is an ID3DBlob. */
typedef struct Compiler3 Compiler3;
struct Compiler3 {
    struct {
        void *unknown[3];
        HRESULT(WINAPI *Compile)(Compiler3 *, const DxcBuffer *, const WCHAR **, UINT, void *, REFIID, void **);
    } *methods;
};
typedef struct Outcome Outcome;
struct Outcome {
    struct {
        void *unknown[2];
        ULONG(WINAPI *Release)(Outcome *);
        HRESULT(WINAPI *GetStatus)(Outcome *, HRESULT *);
        HRESULT(WINAPI *GetResult)(Outcome *, ID3DBlob **);
        HRESULT(WINAPI *GetErrorBuffer)(Outcome *, ID3DBlob **);
    } *methods;
};

static const GUID CLSID_Compiler = {0x73e22d93, 0xe6ce, 0x47f3, {0xb5, 0xbf, 0xf0, 0x66, 0x4f, 0x39, 0xc1, 0xb0}};
static const GUID IID_Compiler3 = {0x228b4687, 0x5a6a, 0x4730, {0x90, 0x0c, 0x97, 0x02, 0xb2, 0x20, 0x3f, 0x54}};
static const GUID IID_Outcome = {0xcedb484a, 0xd4e9, 0x445a, {0xb9, 0x91, 0xca, 0x21, 0xca, 0x15, 0x7d, 0xc2}};

static D3DCompileFn d3d_compile;
static Compiler3 *dxc;

static HRESULT compile(const char *text, SIZE_T size, const char *model, ID3DBlob **complaint)
{
    HRESULT status;
    if (model[3] < '6') {
        ID3DBlob *code = NULL;
        return d3d_compile(text, size, NULL, NULL, NULL, "main", model, D3DCOMPILE_ENABLE_STRICTNESS, 0, &code, complaint);
    }
    WCHAR wide[16];
    swprintf(wide, 16, L"%hs", model);
    const WCHAR *arguments[] = {L"-E", L"main", L"-T", wide, L"-HV", L"2018", L"-no-warnings"};
    DxcBuffer buffer = {text, size, CP_UTF8};
    Outcome *outcome = NULL;
    status = dxc->methods->Compile(dxc, &buffer, arguments, 7, NULL, &IID_Outcome, (void **)&outcome);
    if (FAILED(status))
        return status;
    outcome->methods->GetErrorBuffer(outcome, complaint);
    outcome->methods->GetStatus(outcome, &status);
    outcome->methods->Release(outcome);
    return status;
}

int main(int count, char **arguments)
{
    const char *folder = count > 1 ? arguments[1] : ".", *models = count > 2 ? arguments[2] : "";
    HMODULE fxc_dll = LoadLibraryA("d3dcompiler_47.dll"), dxc_dll = LoadLibraryA("dxcompiler.dll");
    DxcCreateInstanceFn create = dxc_dll ? (DxcCreateInstanceFn)(void *)GetProcAddress(dxc_dll, "DxcCreateInstance") : NULL;
    d3d_compile = fxc_dll ? (D3DCompileFn)(void *)GetProcAddress(fxc_dll, "D3DCompile") : NULL;
    if (!d3d_compile || !create || FAILED(create(&CLSID_Compiler, &IID_Compiler3, (void **)&dxc))) {
        fprintf(stderr, "hlsl: d3dcompiler_47.dll and dxcompiler.dll must lie beside this program\n");
        return 2;
    }
    char pattern[MAX_PATH], path[2 * MAX_PATH];
    snprintf(pattern, sizeof pattern, "%s\\*.cs_%s*.hlsl", folder, models);
    WIN32_FIND_DATAA found;
    HANDLE search = FindFirstFileA(pattern, &found);
    int compiled = 0, refused = 0;
    for (BOOL more = search != INVALID_HANDLE_VALUE; more; more = FindNextFileA(search, &found)) {
        snprintf(path, sizeof path, "%s\\%s", folder, found.cFileName);
        FILE *file = fopen(path, "rb");
        char *text = malloc(found.nFileSizeLow + 1), *model = strstr(found.cFileName, ".cs_");
        if (!file || !text || !model)
            return 2;
        SIZE_T size = fread(text, 1, found.nFileSizeLow, file);
        fclose(file);
        char target[8];
        snprintf(target, sizeof target, "%.6s", model + 1);
        ID3DBlob *complaint = NULL;
        DWORD begin = GetTickCount();
        HRESULT status = compile(text, size, target, &complaint);
        DWORD took = GetTickCount() - begin;
        if (FAILED(status)) {
            refused++;
            printf("%s: refused (%08lx)\n%.*s\n", found.cFileName, (unsigned long)status, complaint ? 2000 : 0,
                   complaint ? (const char *)ID3D10Blob_GetBufferPointer(complaint) : "");
        } else {
            compiled++;
            if (took > 2000)
                printf("%s: took %lu ms\n", found.cFileName, (unsigned long)took);
        }
        fflush(stdout);
        free(text);
    }
    printf("%d compiled, %d refused\n", compiled, refused);
    fflush(stdout);
    /* At once: DXC's own end falls over under Wine. */
    TerminateProcess(GetCurrentProcess(), refused > 0 || compiled == 0);
}
